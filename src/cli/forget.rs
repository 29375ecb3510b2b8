//! `remesa forget`: a person's data is erased, and what was done is shown.
//!
//! A control job as any program writes it; the command waits for its end and prints its note, which names the
//! person by a keyed digest only. A number on the command line is seen by whoever lists processes, so it may come
//! from standard input.

use std::io::{self, BufRead as _};

use anyhow::{Context as _, anyhow};
use serde_json::{Map, Value, json};

use crate::{job::QueueName, operate::jobs};

use super::{
    context::Globals,
    control, enqueue,
    error::{Said, Usage},
    follow, format, output,
    progress::Progress,
};

const EXAMPLES: &str = "\
Examples:
  remesa forget --contact +34600123456
  remesa forget --contact '600 12 34 56' --country ES --json
  remesa forget --contact - < number.txt               the number is in no list of processes
  remesa forget --campaign nov-dues --order 17         the person of this order, everywhere
  remesa forget --campaign nov-dues --key A-17
  remesa forget --campaign nov-dues --case 7           the person of this case, everywhere

Erased: what orders, cases, refused rows, waiting and ended jobs, events, error files and exports hold of the person; nothing
is sent to them any more. Counts and sums stay. Files of producers are named, not changed. The note of what was done
is kept in remesa:forgotten, without the number.";

/// Arguments of `remesa forget`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
#[command(group(clap::ArgGroup::new("person").required(true).args(["contact", "campaign"])))]
pub struct Args {
    /// The person's phone number; - reads it from standard input.
    #[arg(long, value_name = "NUMBER", allow_hyphen_values = true)]
    contact: Option<String>,
    /// The country of a number without its code, ISO 3166.
    #[arg(long, value_name = "CODE", requires = "contact")]
    country: Option<String>,
    /// The campaign of an order that is the person's.
    #[arg(long)]
    campaign: Option<String>,
    /// The order, by its number.
    #[arg(long, value_name = "N", requires = "campaign", conflicts_with = "key")]
    order: Option<u64>,
    /// The order, by its row key.
    #[arg(long, requires = "campaign")]
    key: Option<String>,
    /// The case that is the person's, by its number.
    #[arg(long, value_name = "N", requires = "campaign", conflicts_with_all = ["order", "key"])]
    case: Option<u64>,
    /// The case, by its id.
    #[arg(long, value_name = "ID", requires = "campaign", conflicts_with_all = ["order", "key", "case"])]
    case_id: Option<String>,
    #[command(flatten)]
    format: output::Format,
}

/// Runs the command.
pub async fn run(globals: &Globals, args: Args) -> anyhow::Result<()> {
    let shown = args.format;
    let bytes = serde_json::to_vec(&command(args, control::fresh_id(), first_line)?)?;
    let checked = enqueue::check(QueueName::Control, &bytes).map_err(|refused| Usage(refused.0.sentence))?;
    let context = globals.open().await?;
    context.need_daemon().await?;
    let enqueued = jobs::put(&context.store, QueueName::Control, &bytes, checked.id).await?;
    let mut progress = Progress::new(true);
    let end = follow::job(&context.store, &enqueued, &mut progress).await.context("the command was enqueued")?;
    progress.clear();
    if shown.json {
        output::json(&json!({ "id": enqueued.id, "job": end }))?;
        return if end.is_done() { Ok(()) } else { Err(Said.into()) };
    }
    if !end.is_done() {
        return Err(anyhow!("{}", end.error.clone().unwrap_or_else(|| end.state.clone())));
    }
    let note = end.result.unwrap_or_default();
    let text = |field: &str| note.get(field).and_then(Value::as_str).unwrap_or("none").to_owned();
    output::line("the person is forgotten")?;
    output::pairs([("person", text("person")), ("asked by", text("job")), ("spool of", text("spool_of"))])?;
    output::line("erased")?;
    print_counts(&counts(&note, "erased"))?;
    let left: Vec<_> = counts(&note, "left").into_iter().filter(|(_, count)| count != "0").collect();
    if !left.is_empty() {
        output::line("left, and yours to see to")?;
        print_counts(&left)?;
        for names in ["/left/source_files", "/left/unreadable_files"] {
            for file in note.pointer(names).and_then(Value::as_array).into_iter().flatten() {
                output::line(format_args!("   {}", format::value(file)))?;
            }
        }
    }
    Ok(())
}

/// The job of these arguments; `read` gives a number that is not among them.
fn command(args: Args, id: String, read: impl FnOnce() -> io::Result<String>) -> anyhow::Result<Value> {
    let mut job = Map::new();
    job.insert("id".to_owned(), id.into());
    job.insert("action".to_owned(), "forget".into());
    let contact = match args.contact {
        Some(dash) if dash == "-" => Some(read().context("cannot read standard input")?),
        contact => contact,
    };
    let texts = [
        ("contact", contact),
        ("country", args.country),
        ("campaign", args.campaign),
        ("key", args.key),
        ("case_id", args.case_id),
    ];
    for (name, text) in texts {
        if let Some(text) = text {
            job.insert(name.to_owned(), text.into());
        }
    }
    if let Some(case) = args.case {
        job.insert("case".to_owned(), case.into());
    }
    if let Some(order) = args.order {
        job.insert("order".to_owned(), order.into());
    }
    Ok(Value::Object(job))
}

fn first_line() -> io::Result<String> {
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line)?;
    Ok(line.trim().to_owned())
}

fn print_counts(counts: &[(String, String)]) -> io::Result<()> {
    output::pairs(counts.iter().map(|(name, count)| (name.as_str(), count.clone())))
}

fn counts(note: &Value, of: &str) -> Vec<(String, String)> {
    let counted = note.get(of).and_then(Value::as_object).into_iter().flatten();
    counted
        .filter(|(_, count)| count.is_u64())
        .map(|(name, count)| (name.replace('_', " "), format::value(count)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    fn job(line: &str) -> Option<Value> {
        let args = Line::try_parse_from(line.split(' ')).ok()?.args;
        command(args, "x".to_owned(), || Ok("600 12 34 56".to_owned())).ok()
    }

    #[test]
    fn a_person_is_named_by_a_number_or_by_an_order() {
        assert_eq!(job("f --contact +34600123456").unwrap()["contact"], "+34600123456");
        assert_eq!(job("f --contact - --country ES").unwrap()["contact"], "600 12 34 56");
        assert_eq!(job("f --campaign c --order 17").unwrap()["order"], 17);
        for wrong in
            ["f", "f --contact 1 --campaign c", "f --order 1", "f --country ES", "f --campaign c --order 1 --key k"]
        {
            assert_eq!(job(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn the_counts_of_a_note_are_shown_in_words() {
        let note = json!({"left": {"in_flight": 0, "jobs_waiting": 2, "source_files": ["a"]}});
        let expected = [("in flight".to_owned(), "0".to_owned()), ("jobs waiting".to_owned(), "2".to_owned())];
        assert_eq!(counts(&note, "left"), expected);
    }
}
