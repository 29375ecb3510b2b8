//! `remesa rejected` and `remesa dead`: refused and dead jobs, listed, shown, replayed.

use std::time::Duration;

use anyhow::{anyhow, bail};
use clap::Subcommand;
use futures_util::FutureExt as _;
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};

use crate::{
    domain::clock::EpochMs,
    operate::{
        replay::{self, NotReplayed, word},
        wanted::{self, Tally, Wanted},
    },
    store::letters::{KEPT_OF_TOO_BIG, Letter, Letters},
};

use super::{
    context::{Context, Globals},
    control,
    error::{Said, Usage},
    format,
    output::{self, Column, Rows},
    progress::Progress,
};

/// Examples of `remesa rejected`.
pub const REJECTED_EXAMPLES: &str = "\
Examples:
  remesa rejected list
  remesa rejected show 1763719200000-0
  remesa rejected show gen-nov --payload > job.json     take it out, mend it, then:
  remesa enqueue generate job.json                      enqueue it under the same id
  remesa rejected replay gen-nov                        once the cause is elsewhere and gone";

/// Examples of `remesa dead`.
pub const DEAD_EXAMPLES: &str = "\
Examples:
  remesa dead list
  remesa dead show gen-nov
  remesa dead replay gen-nov                            run it again under its id
  remesa dead replay --where code=attempts_exhausted since=2h               count what that means
  remesa dead replay --where code=attempts_exhausted since=2h --yes         and run it all again";

const LIST_EXAMPLES: &str = "\
Examples:
  remesa rejected list
  remesa dead list --limit 100 --json";
const SHOW_EXAMPLES: &str = "\
Examples:
  remesa rejected show gen-nov
  remesa rejected show 1763719200000-0 --payload > job.json
  remesa dead show gen-nov --json";
const REPLAY_EXAMPLES: &str = "\
Examples:
  remesa dead replay gen-nov
  remesa rejected replay 1763719200000-0 1763719200417-0
  remesa dead replay --where queue=send since=2h                    counts them, and changes nothing
  remesa dead replay --where queue=send since=2h --rate 50/s --yes  replays them, the oldest first
  remesa rejected replay --where code=unknown_channel campaign=nov-dues --yes

Conditions of --where, all of which must hold: code, queue, campaign, since and until (2h, 2026-11-21T10:00:00+01:00).
It may be interrupted and repeated: no job runs twice for it. What is refused or dies again meanwhile is left alone.";

/// What to do with letters.
#[derive(Debug, Subcommand)]
pub enum Action {
    /// The newest ones.
    #[command(after_help = LIST_EXAMPLES)]
    List {
        /// How many.
        #[arg(long, default_value_t = 20, value_name = "N")]
        limit: usize,
        /// How it is printed.
        #[command(flatten)]
        format: output::Format,
    },
    /// One, with its job.
    #[command(after_help = SHOW_EXAMPLES)]
    Show {
        /// The entry id of the list, or the job's id (the newest of it).
        letter: String,
        /// Only the job as it came.
        #[arg(long, conflicts_with = "json")]
        payload: bool,
        /// How it is printed.
        #[command(flatten)]
        format: output::Format,
    },
    /// Put the job into its queue again.
    #[command(after_help = REPLAY_EXAMPLES)]
    Replay {
        /// Entry ids of the list, or job ids.
        #[arg(required_unless_present = "conditions")]
        letters: Vec<String>,
        /// All that meet these conditions, each key=value; without --yes they are only counted.
        #[arg(long = "where", value_name = "CONDITION", num_args = 1.., conflicts_with = "letters")]
        conditions: Vec<String>,
        /// At most so many: 50/s, 600/m.
        #[arg(long, value_name = "N/s", default_value = "100/s", requires = "conditions", value_parser = gap)]
        rate: Duration,
        /// Replay them, and not only count.
        #[arg(long, requires = "conditions")]
        yes: bool,
        /// How it is printed.
        #[command(flatten)]
        format: output::Format,
    },
}

/// Runs the command.
pub async fn run(globals: &Globals, which: Letters, action: Action) -> anyhow::Result<()> {
    let context = globals.open().await?;
    match action {
        Action::List { limit, format } => list(&context, which, limit, format).await,
        Action::Show { letter, payload, format } => show(&context, which, &letter, payload, format).await,
        Action::Replay { letters, conditions, format, .. } if conditions.is_empty() => {
            replay(&context, which, &letters, format).await
        }
        Action::Replay { conditions, rate, yes, format, .. } => {
            replay_all(&context, which, &conditions, rate, yes, format).await
        }
    }
}

async fn list(context: &Context, which: Letters, limit: usize, format: output::Format) -> anyhow::Result<()> {
    let letters = context.store.letters(which, None, limit).await?;
    if format.json {
        output::json(&letters)?;
        return Ok(());
    }
    if letters.is_empty() {
        output::note(format_args!("no job is {}", word(which)));
        return Ok(());
    }
    let columns = ["ENTRY", "WHEN", "QUEUE", "JOB", "CODE", "WHY"].map(Column::Text);
    let mut rows = Rows::new(&columns);
    for letter in letters {
        let why = format::cut(&letter.sentence, 100);
        rows.add([letter.entry, format::time(&letter.at.to_string()), letter.queue, letter.id, letter.code, why]);
    }
    rows.print()?;
    Ok(())
}

async fn show(
    context: &Context,
    which: Letters,
    name: &str,
    payload: bool,
    format: output::Format,
) -> anyhow::Result<()> {
    let letter = find(context, which, name).await?;
    if payload {
        if !letter.is_whole() {
            output::note(format_args!("{}", cut(&letter)));
        }
        output::raw(&letter.payload)?;
        return Ok(());
    }
    if format.json {
        output::json(&letter)?;
        return Ok(());
    }
    output::line(format_args!("{} is {}", letter.id, word(which)))?;
    output::pairs([
        ("entry", letter.entry.clone()),
        ("queue", letter.queue.clone()),
        ("when", format::time(&letter.at.to_string())),
        ("code", letter.code.clone()),
        ("why", letter.sentence.clone()),
        ("size", format::bytes(letter.payload_bytes)),
        ("sha-256", letter.digest.clone()),
    ])?;
    if !letter.is_whole() {
        output::line(format_args!(" {}", cut(&letter)))?;
    }
    let pretty = serde_json::from_str::<serde_json::Value>(&letter.payload)
        .ok()
        .and_then(|job| serde_json::to_string_pretty(&job).ok());
    output::line("")?;
    output::line(pretty.as_deref().unwrap_or(&letter.payload))?;
    Ok(())
}

fn cut(letter: &Letter) -> String {
    if letter.payload.is_empty() && letter.payload_bytes > 0 {
        return "its payload named a person and is not kept".to_owned();
    }
    format!(
        "only the first {} of its {} were kept",
        format::bytes(KEPT_OF_TOO_BIG as u64),
        format::bytes(letter.payload_bytes)
    )
}

async fn replay(context: &Context, which: Letters, names: &[String], format: output::Format) -> anyhow::Result<()> {
    let mut failed = false;
    let mut done = Vec::new();
    for name in names {
        match replay_one(context, which, name).await {
            Ok((letter, entry)) => {
                if !format.json {
                    output::line(format_args!("{} is in {} again as {entry}", letter.id, letter.queue))?;
                }
                done.push(json!({ "letter": letter.entry, "id": letter.id, "queue": letter.queue, "entry": entry }));
            }
            Err(error) => {
                output::note(format_args!("remesa: {name} is not replayed: {error:#}"));
                failed = true;
            }
        }
    }
    if format.json {
        output::json(&done)?;
    }
    if failed { Err(Said.into()) } else { Ok(()) }
}

/// Reads `50/s` or `600/m` as the time between two.
fn gap(text: &str) -> Result<Duration, String> {
    let rule = || format!("\"{text}\" is not a rate: 1/s to 10000/s, or 1/m and more");
    let (number, per) = match text.split_once('/') {
        Some((number, "s")) => (number, Duration::from_secs(1)),
        Some((number, "m")) => (number, Duration::from_mins(1)),
        Some(_) => return Err(rule()),
        None => (text, Duration::from_secs(1)),
    };
    let number: u32 = number.parse().ok().filter(|number| (1..=10_000).contains(number)).ok_or_else(rule)?;
    per.checked_div(number).ok_or_else(rule)
}

async fn replay_all(
    context: &Context,
    which: Letters,
    conditions: &[String],
    gap: Duration,
    yes: bool,
    shown: output::Format,
) -> anyhow::Result<()> {
    let store = &context.store;
    let now = EpochMs(store.now_ms().await?);
    let wanted = Wanted::parse(which, conditions, now).map_err(Usage)?;
    let counted = wanted::count(store, which, &wanted).await?;
    if !yes {
        return print_counted(&counted, which, shown);
    }
    let total = counted.matched;
    let mut progress = Progress::new(shown.json);
    let mut interrupts = signal(SignalKind::interrupt())?;
    let mut interrupted = false;
    let tally = wanted::replay_all(store, which, &wanted, gap, &control::fresh_id(), |tally| {
        progress.part("replaying", tally.replayed + tally.left(), total, "");
        // The one in hand is finished.
        interrupted = interrupts.recv().now_or_never().is_some();
        !interrupted
    })
    .await?;
    progress.clear();
    if shown.json {
        output::json(&tally)?;
    } else {
        let jobs = format::counted(tally.replayed, &format!("{} job", word(which)));
        output::line(format_args!("{jobs} replayed: follow them with `remesa status`"))?;
        print_left(&tally, which)?;
    }
    if interrupted {
        let left = format::count(total.saturating_sub(tally.matched));
        return Err(anyhow!("interrupted with {left} to go: the same command goes on where it stopped"));
    }
    if tally.left() > 0 { Err(Said.into()) } else { Ok(()) }
}

fn print_counted(tally: &Tally, which: Letters, shown: output::Format) -> anyhow::Result<()> {
    if shown.json {
        output::json(tally)?;
        return Ok(());
    }
    if tally.matched == 0 {
        output::note(format_args!("no {} job meets this: nothing would be replayed", word(which)));
        return Ok(());
    }
    let would = tally.matched - tally.left();
    output::line(format_args!("{} would be replayed", format::counted(would, &format!("{} job", word(which)))))?;
    output::pairs([("by code", format::summary(&tally.by_code)), ("by queue", format::summary(&tally.by_queue))])?;
    print_left(tally, which)?;
    output::note("nothing is changed yet: the same with --yes replays them");
    Ok(())
}

fn print_left(tally: &Tally, which: Letters) -> anyhow::Result<()> {
    for (code, number) in &tally.not_replayed {
        let meaning = match *code {
            "payload_cut" => "not kept whole: enqueue the whole job again",
            "unknown_queue" => "of a queue that this version does not know",
            "refused_again" => "would be refused again for its form: take it out, mend it, and enqueue it",
            "id_taken" => "a later job has its id",
            _ => "not replayed",
        };
        output::line(format_args!(" {} left, {code}: {meaning}", format::count(*number)))?;
    }
    if tally.left() > 0 {
        output::note(format_args!("look at one: remesa {} show <entry>", word(which)));
    }
    Ok(())
}

async fn replay_one(context: &Context, which: Letters, name: &str) -> anyhow::Result<(Letter, String)> {
    let letter = find(context, which, name).await?;
    match replay::replay_for(&context.store, which, &letter, &control::fresh_id()).await {
        Ok(enqueued) => Ok((letter, enqueued.entry)),
        Err(NotReplayed::Cut) => bail!("{}: enqueue the whole job again", cut(&letter)),
        Err(error @ NotReplayed::Refused(_)) => bail!(
            "{error}; take it out (remesa {} show {name} --payload > job.json), mend it, and enqueue it \
             (remesa enqueue {} job.json)",
            word(which),
            letter.queue
        ),
        Err(error @ NotReplayed::Taken { .. }) => bail!("{error}: look at `remesa job {}`", letter.id),
        Err(error) => Err(error.into()),
    }
}

/// By entry id, or the newest of a job.
async fn find(context: &Context, which: Letters, name: &str) -> anyhow::Result<Letter> {
    let found = replay::find(&context.store, which, name).await?;
    found.ok_or_else(|| anyhow!("no {} job \"{name}\": see `remesa {} list`", word(which), word(which)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_the_time_between_two() {
        let gaps = ["50/s", "1/s", "600/m", "20"].map(|text| gap(text).unwrap().as_millis());
        assert_eq!(gaps, [20, 1000, 100, 50]);
        for bad in ["", "0/s", "50/h", "x/s", "1000000/s", "-1/s"] {
            assert!(gap(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_cut_letter_says_how_much_was_kept() {
        let letter = Letter::about("generate", "x", "job_too_big", "", &vec![b' '; 2_097_152], 1_048_576);
        assert_eq!(cut(&letter), "only the first 4 KiB of its 2 MiB were kept");
    }
}
