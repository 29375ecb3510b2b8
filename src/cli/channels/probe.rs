//! `remesa channels test`: is the provider there, and does it know us?
//!
//! Without an address nothing is sent: the connection is made, and the provider is asked who we are where it tells that
//! without a message. With one, a single real message leaves, said before and confirmed; it takes its place in the
//! channel's rate, and nobody who may not be written to gets it. A channel that is paused is tested all the same: that is
//! what the test is for. The verdict is the failure's class, its code, and what helps.

use std::{
    io::{self, IsTerminal as _, Write as _},
    time::{Duration, Instant},
};

use anyhow::anyhow;
use serde::Serialize;

use crate::{
    channel::{Channel, DeliverError, Probed, Submission, settings::ChannelSettings},
    cli::{
        check::listens,
        context::{Context, Globals, quiet_logs},
        control,
        error::{Said, Usage},
        format, output,
    },
    config::Config,
    domain::{
        campaign::Category,
        case::ContactKind,
        contact::{Address, AddressKind},
        failure::{Failure, FailureClass},
        sms,
    },
    operate::why::codes,
    store::{
        Store,
        audit::{AuditEntry, Thing},
        channels::{Held, Reservation},
    },
};

/// Examples of the command.
const EXAMPLES: &str = "\
Examples:
  remesa channels test sms-main                              asks the provider, sends nothing
  remesa channels test sms-main --to +34600123456            one real message, after a question
  remesa channels test mail --to ana@example.com --yes
  remesa channels test sms-main --json

The exit code is 1 where the provider is not reached, refuses us, or refuses the message.";

/// Longest wait for a place in the channel's rate.
const RATE_PATIENCE: Duration = Duration::from_secs(30);

/// How far ahead a place is reserved.
const AHEAD: Duration = Duration::from_millis(50);

/// Arguments of `remesa channels test`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// The channel, one of this configuration.
    channel: String,
    /// Send one real message to this address: a number in E.164, or an e-mail address.
    #[arg(long, value_name = "ADDRESS")]
    to: Option<String>,
    /// What it says.
    #[arg(long, requires = "to", value_name = "TEXT")]
    text: Option<String>,
    /// Send it without asking.
    #[arg(long, requires = "to")]
    yes: bool,
    #[command(flatten)]
    format: output::Format,
}

/// What came of it.
#[derive(Debug, Default, Serialize)]
struct Verdict {
    channel: String,
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<String>,
    good: bool,
    /// `reached`, `knows_us`, `accepted`, or the failure's class.
    #[serde(rename = "verdict")]
    class: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<String>,
    sentence: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    help: Option<&'static str>,
    /// Whether a message was given to the provider.
    sent: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    provider_id: Option<String>,
    took_ms: u64,
}

/// Runs the command.
pub(super) async fn run(globals: &Globals, args: Args) -> anyhow::Result<()> {
    let config = globals.config()?;
    let Some(settings) = config.channels.get(&args.channel) else {
        return Err(Usage(unknown(&config, &args.channel)).into());
    };
    quiet_logs()?;
    let channel = Channel::build(settings)?;
    let verdict = match &args.to {
        None => probe(&channel).await,
        Some(to) => {
            let to = address(settings, to)?;
            let text = args.text.clone().unwrap_or_else(|| format!("Remesa: test of the channel {}", args.channel));
            let store = Context::open(config.clone()).await?.store;
            may_be_written_to(&store, &to).await?;
            confirm(settings, &to, &text, args.yes)?;
            reserve(&store, settings, &text).await?;
            let verdict = send(&channel, &to, &text).await;
            note(&store, &verdict).await?;
            verdict
        }
    };
    print(&verdict, args.format)?;
    if verdict.good { Ok(()) } else { Err(Said.into()) }
}

fn unknown(config: &Config, name: &str) -> String {
    let known = || config.channels.keys().map(String::as_str);
    let meant = format::nearest(name, known()).map(|near| format!(", did you mean \"{near}\"?")).unwrap_or_default();
    let all = known().collect::<Vec<_>>().join(", ");
    let all = if all.is_empty() { "it has none".to_owned() } else { format!("there are {all}") };
    format!("there is no channel \"{name}\" in this configuration{meant}; {all}")
}

/// An address of the channel's kind.
fn address(settings: &ChannelSettings, text: &str) -> Result<Address, Usage> {
    let kind = if settings.address == ContactKind::Email { AddressKind::Email } else { AddressKind::Phone };
    Address::parse_as(kind, text, None).map_err(|error| Usage(error.to_string()))
}

async fn may_be_written_to(store: &Store, to: &Address) -> anyhow::Result<()> {
    // A test is nothing a recipient asked for: both lists count.
    match store.barred(&[to], Category::Commercial).await?.into_iter().next().flatten() {
        None => Ok(()),
        Some(bar) => Err(anyhow!("{} may not be written to: it is {bar}", to.masked())),
    }
}

fn confirm(settings: &ChannelSettings, to: &Address, text: &str, yes: bool) -> anyhow::Result<()> {
    let parts =
        if to.phone().is_some() { format!(", {}", format::counted(parts_of(text), "SMS part")) } else { String::new() };
    output::note(format_args!(
        "this sends one real message over {} ({}) to {}{parts}, which its provider may charge for:\n  {text}",
        settings.name,
        settings.kind.as_str(),
        to.masked()
    ));
    if yes {
        return Ok(());
    }
    if !io::stdin().is_terminal() {
        return Err(Usage("nobody can be asked here: add --yes to send it".to_owned()).into());
    }
    let mut error = io::stderr().lock();
    write!(error, "send it? [y/N] ")?;
    error.flush()?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer)?;
    match answer.trim().to_lowercase().as_str() {
        "y" | "yes" => Ok(()),
        _ => Err(anyhow!("nothing was sent")),
    }
}

fn parts_of(text: &str) -> u64 {
    u64::try_from(sms::parts(text)).unwrap_or(1)
}

/// Takes the message's place in the channel's rate, which all daemons share. What stands in the way of campaigns, a pause
/// or a breaker, does not stand in the way of a test.
async fn reserve(store: &Store, settings: &ChannelSettings, text: &str) -> anyhow::Result<()> {
    let Some(gap) = Duration::from_secs(1).checked_div(settings.rate_per_second) else { return Ok(()) };
    let parts = u32::try_from(parts_of(text)).unwrap_or(1);
    let until = Instant::now() + RATE_PATIENCE;
    loop {
        match store.reserve(&settings.name, parts, gap, AHEAD, settings.timeout).await? {
            Reservation::Granted { first_in, .. } => {
                tokio::time::sleep(first_in).await;
                return Ok(());
            }
            Reservation::Wait { after, why: Held::Rate } if Instant::now() + after < until => {
                tokio::time::sleep(after).await;
            }
            Reservation::Wait { why: Held::Rate, .. } => {
                return Err(anyhow!("the channel's rate is used up by campaigns for now: nothing was sent"));
            }
            Reservation::Wait { .. } => return Ok(()),
        }
    }
}

/// A message that was sent by hand stands in the audit, without the address.
async fn note(store: &Store, verdict: &Verdict) -> anyhow::Result<()> {
    let of = Thing { channel: verdict.channel.clone(), ..Thing::default() };
    let outcome = verdict.code.clone().unwrap_or_else(|| "done".to_owned());
    let asked = AuditEntry::asked(&control::fresh_id(), "test_message", of);
    Ok(store.audit(&AuditEntry { after: verdict.class.to_owned(), outcome, ..asked }).await?)
}

fn began(channel: &Channel) -> Verdict {
    let settings = &channel.settings;
    Verdict {
        channel: settings.name.clone(),
        kind: settings.kind.as_str(),
        address: listens(settings).map(|(host, port)| format!("{host}:{port}")),
        ..Verdict::default()
    }
}

fn deadline(settings: &ChannelSettings) -> Instant {
    Instant::now() + settings.connect_timeout + settings.timeout + Duration::from_secs(1)
}

async fn probe(channel: &Channel) -> Verdict {
    let (start, mut verdict) = (Instant::now(), began(channel));
    let probed = channel.probe(deadline(&channel.settings)).await;
    verdict.took_ms = millis(start.elapsed());
    match probed {
        Ok(Probed::KnowsUs) => Verdict {
            good: true,
            class: "knows_us",
            sentence: "it answers and knows us; nothing was sent".to_owned(),
            ..verdict
        },
        Ok(Probed::Reached) => Verdict {
            good: true,
            class: "reached",
            sentence: "it is reached; whether it knows us shows with a message only, and nothing was sent".to_owned(),
            help: Some("send one to yourself: --to <your address>"),
            ..verdict
        },
        Err(error) => failed(verdict, &error),
    }
}

async fn send(channel: &Channel, to: &Address, text: &str) -> Verdict {
    let (start, mut verdict) = (Instant::now(), began(channel));
    let reference = format!("remesa-test-{:016x}", rand::random::<u64>());
    let parts = sms::parts(text);
    let submission = Submission {
        to: to.as_str(),
        text,
        subject: if to.phone().is_none() { "Remesa" } else { "" },
        html: "",
        template: None,
        unsubscribe_url: "",
        reference: &reference,
        idempotency_key: &reference,
        validity_seconds: None,
        parts,
        receipt_url: "",
        trace: None,
        deadline: deadline(&channel.settings),
    };
    let delivered = channel.deliver(&submission).await;
    verdict.took_ms = millis(start.elapsed());
    verdict.sent = true;
    match delivered {
        Ok(accepted) => Verdict {
            good: true,
            class: "accepted",
            sentence: format!("the provider took the message as {}", accepted.provider_id),
            provider_id: Some(accepted.provider_id),
            ..verdict
        },
        Err(error) => failed(verdict, &error),
    }
}

/// The verdict of a failure: its class first.
fn failed(verdict: Verdict, error: &DeliverError) -> Verdict {
    let failure = match error {
        DeliverError::NotSent => Failure::transient("connect_timeout"),
        DeliverError::Failure(failure) => failure.clone(),
    };
    let means = match failure.class() {
        FailureClass::Transient => "not reached or not ready",
        FailureClass::Throttled => "asked to wait",
        FailureClass::Denied => "it refuses us",
        FailureClass::Permanent => "it refuses this message",
        FailureClass::Ambiguous if verdict.sent => "perhaps sent",
        FailureClass::Ambiguous => "it answers, but not as it should",
    };
    let meaning = codes::failure(failure.code());
    let told = meaning.map(|it| format!(": {}", it.meaning)).unwrap_or_default();
    Verdict {
        good: false,
        // Certainly not: nothing but a question left, or the provider said so.
        sent: verdict.sent && !failure.is_certainly_not_sent(),
        class: failure.class().as_str(),
        sentence: format!("{means}, {}{told}", failure.code()),
        code: Some(failure.code().to_owned()),
        help: meaning.map(|it| it.help),
        ..verdict
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn print(verdict: &Verdict, shown: output::Format) -> io::Result<()> {
    if shown.json {
        return output::json(verdict);
    }
    let mark = if verdict.good { "ok  " } else { "BAD " };
    let at = verdict.address.as_ref().map(|address| format!(" at {address}")).unwrap_or_default();
    let took = format::duration(Duration::from_millis(verdict.took_ms));
    let Verdict { channel, kind, sentence, .. } = verdict;
    output::line(format_args!("{mark}  {channel}: {kind}{at}: {sentence} ({took})"))?;
    if let Some(help) = verdict.help {
        output::line(format_args!("      {help}"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_class_of_failure_has_its_verdict_and_says_whether_something_was_sent() {
        let of = |failure: Failure, sent| {
            let verdict = failed(Verdict { sent, ..Verdict::default() }, &DeliverError::Failure(failure));
            (verdict.class, verdict.sent, verdict.sentence)
        };
        let (class, sent, sentence) = of(Failure::denied("not_authorised:http_401"), true);
        assert_eq!((class, sent), ("denied", false));
        assert!(sentence.starts_with("it refuses us, not_authorised:http_401: credentials"), "{sentence}");
        assert!(of(Failure::ambiguous("answer_timeout"), true).1);
        assert!(!of(Failure::ambiguous("answer_timeout"), false).1);
        assert_eq!(of(Failure::transient("connection_refused"), false).0, "transient");
        assert!(failed(Verdict::default(), &DeliverError::NotSent).help.is_some());
    }
}
