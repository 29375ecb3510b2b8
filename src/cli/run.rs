//! `remesa run`: the daemon.
//!
//! The first SIGTERM, SIGINT or SIGHUP begins the drain, the second ends the process at once.

use tokio_util::sync::CancellationToken;

use crate::{app, lifecycle::Signals, telemetry};

use super::context::Globals;

const EXAMPLES: &str = "\
Examples:
  remesa run
  remesa run --config /etc/remesa/remesa.toml
  REMESA_REDIS__URL=redis://10.0.0.5:6379/ REMESA_LOG__LEVEL=debug remesa run

Logs go to standard error. The first SIGTERM, SIGINT or SIGHUP drains, the second ends at once.";

/// Arguments of `remesa run`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {}

/// Configuration, logs, signals, daemon.
pub async fn run(globals: &Globals, _: Args) -> anyhow::Result<()> {
    let config = globals.config()?;
    telemetry::init(&config.log)?;
    let stop = CancellationToken::new();
    let signals = Signals::install()?;
    tokio::select! {
        done = app::run(config, stop.clone()) => done,
        // Never returns: the second signal ends the process.
        () = signals.run(stop.clone()) => Ok(()),
    }
}
