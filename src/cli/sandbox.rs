//! `remesa sandbox`: the provider simulator as a program, one flag a setting.
//!
//! The flags carry the names of the settings' JSON form, so that what was tried with `PUT /settings` can be
//! written down as a command line. The settings can still be changed while it runs.

use anyhow::anyhow;
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::{
    lifecycle::Signals,
    sandbox::{Fate, RetryAfterForm, Sandbox, SandboxError, SandboxHandle, SandboxSettings},
};

use super::{context::quiet_logs, error::Usage, format, output};

const EXAMPLES: &str = "\
Examples:
  remesa sandbox
  remesa sandbox --port 0 --latency-min-ms 20 --latency-max-ms 80
  remesa sandbox --fail-per-mille 50 --cut-per-mille 10 --throttle-per-mille 20
  remesa sandbox --recipient +34600000001=refuse --script fail,fail,accept
  remesa sandbox --payments '{\"cut_per_mille\":20,\"idempotency\":false}'
  remesa sandbox --reports-to http://127.0.0.1:9464/receipts/sms-main --report-undelivered-per-mille 50

While it runs:
  curl http://127.0.0.1:9465/stats                           counts, duplicates, most in flight
  curl 'http://127.0.0.1:9465/inbox?last=5'                  the messages, their orders and receipts
  xdg-open http://127.0.0.1:9465/                            the same, in a browser
  curl -X PUT http://127.0.0.1:9465/settings -d '{\"hold\":true}'";

/// Arguments of `remesa sandbox`. Shares are per mille of the messages; what they leave over is accepted.
#[derive(Debug, clap::Args, Serialize)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Where to listen on 127.0.0.1; 0 takes a free port.
    #[arg(long, default_value_t = 9465)]
    #[serde(skip)]
    port: u16,
    /// Same seed, same order of arrival: same fates.
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    seed: Option<u64>,
    /// Shortest wait before an answer.
    #[arg(long, value_name = "MS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    latency_min_ms: Option<u64>,
    /// Longest wait before an answer.
    #[arg(long, value_name = "MS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    latency_max_ms: Option<u64>,
    /// Share refused (4xx).
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    refuse_per_mille: Option<u16>,
    /// Status of a refusal, 400 to 499.
    #[arg(long, value_name = "STATUS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    refuse_status: Option<u16>,
    /// Error code of a refusal.
    #[arg(long, value_name = "CODE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    refuse_code: Option<String>,
    /// Share answered 429.
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    throttle_per_mille: Option<u16>,
    /// The wait that a 429 asks for.
    #[arg(long, value_name = "SECONDS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after_seconds: Option<u64>,
    /// How it asks: seconds, date or none.
    #[arg(long, value_name = "FORM", value_parser = retry_after_form)]
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after_form: Option<RetryAfterForm>,
    /// Share failed (5xx).
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    fail_per_mille: Option<u16>,
    /// Status of a failure, 500 to 599.
    #[arg(long, value_name = "STATUS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    fail_status: Option<u16>,
    /// Share never answered.
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    hang_per_mille: Option<u16>,
    /// Share accepted and then cut off without an answer.
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    cut_per_mille: Option<u16>,
    /// Share reset before it is read.
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    reset_per_mille: Option<u16>,
    /// Fates of the first messages: accept, refuse, throttle, fail, hang, cut, reset.
    #[arg(long, value_name = "FATE,...", value_delimiter = ',', value_parser = fate)]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    script: Vec<Fate>,
    /// A recipient with a fate of its own; may be repeated.
    #[arg(long, value_name = "PHONE=FATE", value_parser = recipient)]
    #[serde(skip)]
    recipient: Vec<(String, Fate)>,
    /// Accept messages and keep their answers back until hold is false.
    #[arg(long)]
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    hold: bool,
    /// Accept a repeated Idempotency-Key as a new message.
    #[arg(long)]
    #[serde(skip)]
    no_idempotency: bool,
    /// Messages kept for GET /inbox.
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    inbox_messages: Option<usize>,
    /// Keys kept to tell distinct messages from duplicates.
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    tracked_keys: Option<usize>,
    /// Settings of the payment platform under /payments/v1, as JSON (docs/sandbox.md).
    #[arg(long, value_name = "JSON")]
    #[serde(skip)]
    payments: Option<String>,
    #[command(flatten)]
    #[serde(skip)]
    reports: ReportArgs,
    #[command(flatten)]
    #[serde(skip)]
    format: output::Format,
}

/// Delivery reports.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Delivery reports")]
struct ReportArgs {
    /// Receives one POST a message: `/receipts/<channel>` of a daemon's listener, or a program of yours.
    #[arg(long = "reports-to", visible_alias = "report-url", value_name = "URL")]
    url: Option<String>,
    /// Signs the reports as Standard Webhooks says; the channel's receipts.secrets holds the same.
    #[arg(long = "report-secret", value_name = "SECRET")]
    secret: Option<String>,
    /// Shortest time from acceptance to the report.
    #[arg(long = "report-delay-min-ms", value_name = "MS")]
    delay_min_ms: Option<u64>,
    /// Longest time from acceptance to the report.
    #[arg(long = "report-delay-max-ms", value_name = "MS")]
    delay_max_ms: Option<u64>,
    /// Share reported undelivered.
    #[arg(long = "report-undelivered-per-mille", value_name = "N")]
    undelivered_per_mille: Option<u16>,
    /// Share reported expired.
    #[arg(long = "report-expired-per-mille", value_name = "N")]
    expired_per_mille: Option<u16>,
    /// Most POSTs of one report.
    #[arg(long = "report-attempts", value_name = "N")]
    attempts: Option<u32>,
    /// Wait before the second POST; doubled each time.
    #[arg(long = "report-retry-ms", value_name = "MS")]
    retry_ms: Option<u64>,
    /// Most POSTs at once.
    #[arg(long = "report-in-flight", value_name = "N")]
    in_flight: Option<usize>,
    /// Most reports waiting.
    #[arg(long = "report-waiting", value_name = "N")]
    waiting: Option<usize>,
}

impl ReportArgs {
    fn patch(&self) -> Value {
        let fields = [
            ("url", json!(self.url)),
            ("secret", json!(self.secret)),
            ("delay_min_ms", json!(self.delay_min_ms)),
            ("delay_max_ms", json!(self.delay_max_ms)),
            ("undelivered_per_mille", json!(self.undelivered_per_mille)),
            ("expired_per_mille", json!(self.expired_per_mille)),
            ("attempts", json!(self.attempts)),
            ("retry_ms", json!(self.retry_ms)),
            ("in_flight", json!(self.in_flight)),
            ("waiting", json!(self.waiting)),
        ];
        let given = fields.into_iter().filter(|(_, value)| !value.is_null());
        Value::Object(given.map(|(name, value)| (name.to_owned(), value)).collect::<Map<_, _>>())
    }
}

impl Args {
    /// The settings that the flags say; one bound of a pair alone moves the other along.
    fn settings(&self) -> anyhow::Result<SandboxSettings> {
        let mut patch = serde_json::to_value(self)?;
        if let Some(fields) = patch.as_object_mut() {
            if self.no_idempotency {
                fields.insert("idempotency".to_owned(), false.into());
            }
            let recipients = self.recipient.iter().map(|(to, fate)| (to.clone(), json!(fate)));
            fields.insert("recipients".to_owned(), Value::Object(recipients.collect::<Map<_, _>>()));
            let mut reports = self.reports.patch();
            if let Some(reports) = reports.as_object_mut() {
                widen(reports, "delay_min_ms", "delay_max_ms", 2_000);
            }
            fields.insert("reports".to_owned(), reports);
            if let Some(payments) = &self.payments {
                let read = serde_json::from_str::<Map<String, Value>>(payments);
                let payments = read.map_err(|error| Usage(format!("--payments is not a JSON object: {error}")))?;
                fields.insert("payments".to_owned(), Value::Object(payments));
            }
            widen(fields, "latency_min_ms", "latency_max_ms", 0);
        }
        let settings = SandboxSettings { port: self.port, ..SandboxSettings::default() };
        let settings = settings.patched(&serde_json::to_vec(&patch)?);
        settings.map_err(|error| Usage(error.to_string()).into())
    }
}

/// A lower bound alone above the upper one's default is both.
fn widen(fields: &mut Map<String, Value>, min: &str, max: &str, default_max: u64) {
    if let (Some(least), None) = (fields.get(min).and_then(Value::as_u64), fields.get(max))
        && least > default_max
    {
        fields.insert(max.to_owned(), least.into());
    }
}

/// Runs the simulator until a signal.
pub async fn run(args: Args) -> anyhow::Result<()> {
    quiet_logs()?;
    let settings = args.settings()?;
    let mut signals = Signals::install()?;
    let sandbox = Sandbox::start(settings).await.map_err(|error| match error {
        SandboxError::Listen { .. } => {
            anyhow!(error).context("the sandbox does not start (--port 0 takes a free port)")
        }
        SandboxError::Settings(_) | SandboxError::Reports(_) => anyhow!(error),
    })?;
    greet(&sandbox, args.format)?;
    signals.next().await;
    let stats = sandbox.stats();
    sandbox.shutdown().await;
    if !args.format.json {
        let accepted = format::counted(stats.counts.accepted, "message");
        let duplicates = format::counted(stats.counts.duplicates, "duplicate");
        output::line(format_args!("{accepted} accepted, {duplicates}"))?;
    }
    Ok(())
}

fn greet(sandbox: &SandboxHandle, shown: output::Format) -> std::io::Result<()> {
    let url = sandbox.url();
    if shown.json {
        let urls =
            ["messages", "inbox", "stats", "settings"].map(|name| (name.to_owned(), format!("{url}/{name}").into()));
        let mut fields: Map<String, Value> = Map::from_iter(urls);
        fields.insert("url".to_owned(), url.into());
        return output::json_line(&fields);
    }
    output::line(format_args!("the sandbox provider listens on {url}"))?;
    output::pairs([
        ("send", format!("POST {url}/messages")),
        ("read", format!("GET  {url}/inbox, or open {url} in a browser")),
        ("count", format!("GET  {url}/stats")),
        ("change", format!("PUT  {url}/settings")),
    ])?;
    output::line("a channel that sends to it:")?;
    output::line(format_args!("  [channels.sms-main]\n  kind = \"sandbox\"\n  url = \"{url}\""))?;
    output::line("Ctrl-C ends it")
}

fn word<T: serde::de::DeserializeOwned>(text: &str, known: &str) -> Result<T, String> {
    serde_json::from_value(text.trim().into()).map_err(|_| format!("is not one of {known}"))
}

fn fate(text: &str) -> Result<Fate, String> {
    word(text, "accept, refuse, throttle, fail, hang, cut, reset")
}

fn retry_after_form(text: &str) -> Result<RetryAfterForm, String> {
    word(text, "seconds, date, none")
}

fn recipient(text: &str) -> Result<(String, Fate), String> {
    let (to, named) = text.split_once('=').ok_or("is not of the form +34600000001=refuse")?;
    Ok((to.to_owned(), fate(named)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    fn settings(flags: &[&str]) -> anyhow::Result<SandboxSettings> {
        Line::try_parse_from(std::iter::once(&"sandbox").chain(flags)).unwrap().args.settings()
    }

    #[test]
    fn without_flags_the_defaults_hold_at_the_known_port() {
        assert_eq!(settings(&[]).unwrap(), SandboxSettings { port: 9465, ..SandboxSettings::default() });
    }

    #[test]
    fn every_setting_has_a_flag_of_its_name() {
        let changed = settings(&[
            "--port=0",
            "--seed=2",
            "--latency-min-ms=1",
            "--latency-max-ms=9",
            "--refuse-per-mille=1",
            "--refuse-status=404",
            "--refuse-code=gone",
            "--throttle-per-mille=2",
            "--retry-after-seconds=3",
            "--retry-after-form=date",
            "--fail-per-mille=4",
            "--fail-status=503",
            "--hang-per-mille=5",
            "--cut-per-mille=6",
            "--reset-per-mille=7",
            "--script=fail,cut",
            "--recipient=+34600000001=refuse",
            "--hold",
            "--no-idempotency",
            "--inbox-messages=8",
            "--tracked-keys=9",
            "--reports-to=http://127.0.0.1:1/",
            "--report-secret=s",
            "--report-delay-min-ms=1",
            "--report-delay-max-ms=2",
            "--report-undelivered-per-mille=3",
            "--report-expired-per-mille=4",
            "--report-attempts=6",
            "--report-retry-ms=7",
            "--report-in-flight=8",
            "--report-waiting=9",
            "--payments={\"cut_per_mille\":7}",
        ])
        .unwrap();
        let changed_json = serde_json::to_value(&changed).unwrap();
        let default_json = serde_json::to_value(SandboxSettings::default()).unwrap();
        for (name, value) in default_json.as_object().unwrap() {
            assert_ne!(&changed_json[name], value, "{name} has no flag");
        }
        for (name, value) in default_json["reports"].as_object().unwrap() {
            assert_ne!(&changed_json["reports"][name], value, "reports.{name} has no flag");
        }
        assert_eq!(changed.port, 0);
    }

    #[test]
    fn a_lower_bound_alone_moves_the_upper_one() {
        let changed = settings(&["--latency-min-ms=50", "--report-delay-min-ms=5000"]).unwrap();
        assert_eq!((changed.latency_max_ms, changed.reports.delay_max_ms), (50, 5000));
    }

    #[test]
    fn settings_that_cannot_work_are_wrong_arguments() {
        let error = settings(&["--cut-per-mille=600", "--fail-per-mille=500"]).unwrap_err();
        assert_eq!(error.to_string(), "*_per_mille add up to more than 1000");
        assert!(error.is::<Usage>());
        assert!(recipient("+346").is_err() && fate("explode").is_err());
    }
}
