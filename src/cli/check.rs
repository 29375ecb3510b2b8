//! `remesa check`: is everything there that a daemon needs?
//!
//! Looks and changes nothing. A finding is good, worth knowing (a warning), or bad; one bad finding makes the
//! exit code 1. A configuration that cannot be used ends the command before, with its own exit code 78.

mod content;
mod outside;
mod places;
mod redis;
mod secrets;

use serde::Serialize;
use serde_json::json;

use crate::config::Config;

pub use outside::listens;

use super::{
    context::{Globals, quiet_logs, redis_cli},
    error::Said,
    output,
};

const EXAMPLES: &str = "\
Examples:
  remesa check
  remesa check --config /etc/remesa/remesa.toml
  remesa check --json";

/// Arguments of `remesa check`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[command(flatten)]
    format: output::Format,
}

/// How a thing was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Grade {
    Good,
    Warning,
    Bad,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Finding {
    grade: Grade,
    what: String,
    found: String,
}

fn good(what: &str, found: impl Into<String>) -> Finding {
    Finding { grade: Grade::Good, what: what.to_owned(), found: found.into() }
}

fn warning(what: &str, found: impl Into<String>) -> Finding {
    Finding { grade: Grade::Warning, what: what.to_owned(), found: found.into() }
}

fn bad(what: &str, found: impl Into<String>) -> Finding {
    Finding { grade: Grade::Bad, what: what.to_owned(), found: found.into() }
}

/// Runs the command.
pub async fn run(globals: &Globals, args: Args) -> anyhow::Result<()> {
    let config = globals.config()?;
    quiet_logs()?;
    let mut findings =
        vec![good("configuration", format!("{} channels, prefix {}", config.channels.len(), config.prefix))];
    findings.extend(secrets::look(globals.config.as_deref()));
    findings.extend(secrets::tokens(&config));
    let (of_redis, store) = redis::look(&config).await;
    findings.extend(of_redis);
    if let Some(store) = &store {
        findings.extend(content::look(store).await);
    }
    findings.extend(places::look(&config));
    findings.extend(outside::channels(&config).await);
    findings.extend(outside::platforms(&config).await);
    print(&config, &findings, args.format)?;
    if findings.iter().any(|finding| finding.grade == Grade::Bad) { Err(Said.into()) } else { Ok(()) }
}

fn print(config: &Config, findings: &[Finding], shown: output::Format) -> std::io::Result<()> {
    let redis_cli = redis_cli(config);
    if shown.json {
        let good = findings.iter().all(|finding| finding.grade != Grade::Bad);
        return output::json(&json!({ "good": good, "redis_cli": redis_cli, "findings": findings }));
    }
    for finding in findings {
        let mark = match finding.grade {
            Grade::Good => "ok  ",
            Grade::Warning => "warn",
            Grade::Bad => "BAD ",
        };
        output::line(format_args!("{mark}  {}: {}", finding.what, finding.found))?;
    }
    output::line("")?;
    output::line(format_args!("other programs reach this Redis with: {redis_cli}"))?;
    let add = format!("XADD {}:jobs:generate '*' job \"$(cat job.json)\"", config.prefix);
    output::line(format_args!("a job from a shell: {redis_cli} {add}"))
}
