//! `remesa rejected` and `remesa dead`: refused and dead jobs, listed, shown, replayed.

use anyhow::{anyhow, bail};
use clap::Subcommand;
use serde_json::json;

use crate::{
    operate::replay::{self, NotReplayed, word},
    store::letters::{KEPT_OF_TOO_BIG, Letter, Letters},
};

use super::{
    context::{Context, Globals},
    control,
    error::Said,
    format,
    output::{self, Column, Rows},
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
  remesa dead replay gen-nov                            run it again under its id";

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
  remesa rejected replay 1763719200000-0 1763719200417-0";

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
        #[arg(required = true)]
        letters: Vec<String>,
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
        Action::Replay { letters, format } => replay(&context, which, &letters, format).await,
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
    fn a_cut_letter_says_how_much_was_kept() {
        let letter = Letter::about("generate", "x", "job_too_big", "", &vec![b' '; 2_097_152], 1_048_576);
        assert_eq!(cut(&letter), "only the first 4 KiB of its 2 MiB were kept");
    }
}
