//! `remesa why`: why something does not move, and what to type.
//!
//! The answer is [`crate::operate::why`]'s; here it is asked for and printed. Nothing is changed.

use std::time::Duration;

use anyhow::anyhow;
use clap::Subcommand;

use crate::{
    domain::{clock::EpochMs, name::JobId, short_code::ShortCode},
    operate::why::{self, Answer, Effect, Reason, Subject},
    store::Store,
};

use super::{
    campaign,
    context::{Context, Globals},
    error::Usage,
    format,
    output::{self, Page},
};

/// Examples of the group.
pub const EXAMPLES: &str = "\
Examples:
  remesa why job gen-nov
  remesa why campaign nov-dues                     itself, its runs and permanent messages
  remesa why run nov-dues delivery@1
  remesa why order nov-dues 17                     its turn, its retry, or why it was not sent
  remesa why order aB3dE6gH9k                      by its short code or link
  remesa why case nov-dues --id c-17
  remesa why channel sms-main
  remesa why recurring nov-dues weekly --json

Every reason has a code that programs may branch on, and the command that ends it.";

const JOB: &str = "Examples:\n  remesa why job gen-nov\n  remesa why job generate:1763719200000-0";
const CAMPAIGN: &str = "Examples:\n  remesa why campaign nov-dues\n  remesa why campaign nov-dues --json";
const RUN: &str = "Examples:\n  remesa why run nov-dues delivery@1\n  remesa why run nov-dues reminder-1 --json";
const ORDER: &str = "\
Examples:
  remesa why order nov-dues 17
  remesa why order nov-dues --key A-17
  remesa why order 'https://pay.example/?p=aB3dE6gH9k'";
const CASE: &str = "Examples:\n  remesa why case nov-dues 17\n  remesa why case nov-dues --id c-17";
const CHANNEL: &str = "Examples:\n  remesa why channel sms-main";
const RECURRING: &str = "Examples:\n  remesa why recurring nov-dues weekly";

/// For so long the pace of what moves is looked at.
const MEASURE: Duration = Duration::from_secs(1);

/// What is asked about.
#[derive(Debug, Subcommand)]
pub enum About {
    /// A job: its place in the queue, its time, what it comes after, why it was refused or died.
    #[command(after_help = JOB)]
    Job {
        /// The job's id, or `<queue>:<entry id>`.
        id: String,
        /// How it is printed.
        #[command(flatten)]
        format: output::Format,
    },
    /// A campaign with its runs and permanent messages.
    #[command(after_help = CAMPAIGN)]
    Campaign {
        /// The campaign.
        campaign: String,
        /// How it is printed.
        #[command(flatten)]
        format: output::Format,
    },
    /// A run: pauses, contact hours, its channel, its pace.
    #[command(after_help = RUN)]
    Run {
        /// The campaign.
        campaign: String,
        /// The run.
        run: String,
        /// How it is printed.
        #[command(flatten)]
        format: output::Format,
    },
    /// An order: how many come before it, its next attempt, why it was not sent.
    #[command(after_help = ORDER)]
    Order {
        /// The campaign; or, alone, a short code or a link.
        campaign: String,
        /// The order's number, from 1 in row order.
        number: Option<u64>,
        /// The row's key, in the place of the number.
        #[arg(long, conflicts_with = "number")]
        key: Option<String>,
        /// How it is printed.
        #[command(flatten)]
        format: output::Format,
    },
    /// A case: the same.
    #[command(after_help = CASE)]
    Case {
        /// The campaign.
        campaign: String,
        /// The case's number, from 1 in the order of their import.
        #[arg(required_unless_present = "id")]
        number: Option<u64>,
        /// The id it was imported with, in the place of the number.
        #[arg(long, conflicts_with = "number")]
        id: Option<String>,
        /// How it is printed.
        #[command(flatten)]
        format: output::Format,
    },
    /// A channel: pause, breaker, a wait that its provider asked for, who serves it.
    #[command(after_help = CHANNEL)]
    Channel {
        /// The channel.
        channel: String,
        /// How it is printed.
        #[command(flatten)]
        format: output::Format,
    },
    /// A permanent message: its next due time, overlap, what it missed.
    #[command(after_help = RECURRING)]
    Recurring {
        /// The campaign.
        campaign: String,
        /// The permanent message.
        recurring: String,
        /// How it is printed.
        #[command(flatten)]
        format: output::Format,
    },
}

/// Runs the command.
pub async fn run(globals: &Globals, about: About) -> anyhow::Result<()> {
    let context = globals.open().await?;
    let (subject, shown) = subject(&context.store, about).await?;
    let answer = why::ask(&context.store, &context.config, &subject, MEASURE).await?;
    let Some(answer) = answer else { return Err(absent(&context, &subject).await?) };
    if shown.json {
        output::json(&answer)?;
        return Ok(());
    }
    let now = EpochMs(context.store.now_ms().await?);
    page(&answer, now).print()?;
    Ok(())
}

async fn subject(store: &Store, about: About) -> anyhow::Result<(Subject, output::Format)> {
    Ok(match about {
        About::Job { id, format } => {
            let job = JobId::of_wire(&id).map_err(|error| Usage(error.to_string()))?;
            (Subject::Job { job }, format)
        }
        About::Campaign { campaign, format } => (Subject::Campaign { campaign }, format),
        About::Run { campaign, run, format } => (Subject::Run { campaign, run }, format),
        About::Order { campaign, number: Some(order), format, .. } => (Subject::Order { campaign, order }, format),
        About::Order { campaign, key: Some(key), format, .. } => {
            let order = store.order_number(&campaign, &key).await?;
            let order = order.ok_or_else(|| anyhow!("{campaign} has no row with the key \"{key}\""))?;
            (Subject::Order { campaign, order }, format)
        }
        About::Order { campaign: code, format, .. } => {
            let rule = "name the order: its number or --key after the campaign, or a short code alone";
            let code: ShortCode = campaign::code_of(&code).map_err(|_| Usage(rule.to_owned()))?;
            let found = store.order_of_code(&code).await?;
            let (campaign, order) = found.ok_or_else(|| anyhow!("no order has the short code {}", code.as_str()))?;
            (Subject::Order { campaign, order }, format)
        }
        About::Case { campaign, number: Some(case), format, .. } => (Subject::Case { campaign, case }, format),
        About::Case { campaign, id, format, .. } => {
            let id = id.unwrap_or_default();
            let case = store.case_number(&campaign, &id).await?;
            let case = case.ok_or_else(|| anyhow!("{campaign} has no case with the id \"{id}\""))?;
            (Subject::Case { campaign, case }, format)
        }
        About::Channel { channel, format } => (Subject::Channel { channel }, format),
        About::Recurring { campaign, recurring, format } => (Subject::Recurring { campaign, recurring }, format),
    })
}

/// The sentence that there is no such thing.
async fn absent(context: &Context, subject: &Subject) -> anyhow::Result<anyhow::Error> {
    let campaign = match subject {
        Subject::Job { job } => {
            return Ok(anyhow!(
                "no job \"{job}\" is known: a status is kept 24 h after a job's end (1 h without an id); it is not among \
                 the oldest jobs of the queues, nor could its end be read: see `remesa rejected list`, `remesa dead list`"
            ));
        }
        Subject::Channel { channel } => {
            return Ok(anyhow!("no channel \"{channel}\" is known: see `remesa channels`"));
        }
        Subject::Campaign { campaign } => return Ok(campaign::none(campaign)),
        Subject::Run { campaign, .. }
        | Subject::Order { campaign, .. }
        | Subject::Case { campaign, .. }
        | Subject::Recurring { campaign, .. } => campaign,
    };
    campaign::load(&context.store, campaign).await?;
    Ok(anyhow!("there is no such thing as {subject}: see `remesa campaign show {campaign}`"))
}

fn page(answer: &Answer, now: EpochMs) -> Page {
    let mut page = Page::default();
    write(&mut page, answer, &[], now, "");
    page
}

/// `told` stands above already, and holds for this too.
fn write(page: &mut Page, answer: &Answer, told: &[Reason], now: EpochMs, indent: &str) {
    // A job that is done may have begun what is not.
    let begun = answer.state == "done" && !answer.parts.is_empty();
    let its = if begun { "; its run: " } else { ": " };
    page.line(format_args!("{indent}{} is {}{its}{}", answer.subject, answer.state, answer.verdict.phrase()));
    for reason in answer.reasons.iter().filter(|reason| !told.contains(reason)) {
        let mark = match reason.effect {
            Effect::Tells => '-',
            Effect::Waits => '~',
            Effect::Stops => '!',
        };
        page.line(format_args!("{indent} {mark} {}{}", reason.sentence, when(reason, now)));
        let width = reason.steps.iter().map(|step| step.command.chars().count()).max().unwrap_or(0);
        for step in &reason.steps {
            page.line(format_args!("{indent}     {:<width$}   {}", step.command, step.does));
        }
    }
    for part in &answer.parts {
        page.line("");
        write(page, part, &answer.reasons, now, &format!("{indent}  "));
    }
}

/// ` (by ana@desk; since 10:00, 12m ago; until 12:00, in 1h 48m)`.
fn when(reason: &Reason, now: EpochMs) -> String {
    let mut parts = Vec::new();
    if let Some(by) = &reason.by {
        parts.push(format!("by {by}"));
    }
    if let Some(since) = reason.since {
        parts.push(format!("since {}, {} ago", since.to_rfc3339(), format::duration(now.since(since))));
    }
    if let Some(until) = reason.until {
        let rest = match now.until(until) {
            rest if rest.is_zero() => "due now".to_owned(),
            rest => format!("in {}", format::duration(rest)),
        };
        // Nothing waits for the end of what moves: it is foreseen.
        let word = if reason.effect == Effect::Tells { "over about" } else { "until" };
        parts.push(format!("{word} {}, {rest}", until.to_rfc3339()));
    }
    if parts.is_empty() { String::new() } else { format!(" ({})", parts.join("; ")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operate::why::ReasonCode;

    #[test]
    fn an_answer_says_who_since_until_and_what_to_type() {
        let now = EpochMs(1_763_719_200_000);
        let subject = Subject::Run { campaign: "nov".to_owned(), run: "delivery@1".to_owned() };
        let paused = Reason::stops(ReasonCode::RunPaused, "the run is paused")
            .by(Some("ana@desk".to_owned()))
            .since(Some(EpochMs(now.0 - 720_000)))
            .step("remesa campaign resume nov --run delivery@1", "goes on");
        let waits = Reason::waits(ReasonCode::ContactHours, "the contact hours are closed");
        let answer = Answer::open(subject, "paused", vec![waits.until(Some(EpochMs(now.0 + 60_000))), paused]);
        let text = page(&answer, now).into_text();
        let expected = "\
the run delivery@1 of nov is paused: it goes on only when somebody acts
 ! the run is paused (by ana@desk; since 2025-11-21T09:48:00.000Z, 12m ago)
     remesa campaign resume nov --run delivery@1   goes on
 ~ the contact hours are closed (until 2025-11-21T10:01:00.000Z, in 1m)
";
        assert_eq!(text, expected);
    }
}
