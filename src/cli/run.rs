//! `remesa run`: the daemon.
//!
//! The first SIGTERM or SIGINT begins the drain, the second ends the process at once. SIGHUP makes it read its
//! configuration again, unless it is the hang-up of the terminal that it runs in.

use std::{io::IsTerminal as _, sync::Arc};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::{
    app::{self, reload::Reloads},
    lifecycle::Signals,
    telemetry,
};

use super::context::Globals;

const EXAMPLES: &str = "\
Examples:
  remesa run
  remesa run --config /etc/remesa/remesa.toml
  REMESA_REDIS__URL=redis://10.0.0.5:6379/ REMESA_LOG__LEVEL=debug remesa run

Logs go to standard error. The first SIGTERM or SIGINT drains, the second ends at once. SIGHUP reads the
configuration again (systemctl reload remesa); one that is not valid changes nothing.";

/// Arguments of `remesa run`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {}

/// Configuration, logs, signals, daemon.
pub async fn run(globals: &Globals, _: Args) -> anyhow::Result<()> {
    let config = globals.config()?;
    let level = telemetry::init(&config.log)?;
    let (stop, asked) = (CancellationToken::new(), Arc::new(Notify::new()));
    let signals = Signals::install()?;
    let in_terminal = std::io::stderr().is_terminal();
    let globals = globals.clone();
    let reloads = Reloads { asked: Arc::clone(&asked), read: Box::new(move || globals.config()), level: Some(level) };
    tokio::select! {
        done = app::run(config, reloads, stop.clone()) => done,
        // Never returns: the second signal ends the process.
        () = signals.run(stop.clone(), (!in_terminal).then_some(asked)) => Ok(()),
    }
}
