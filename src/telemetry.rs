//! Logs: one line an event on standard error, for people, for the journal or as JSON, filtered as the configuration says.
//!
//! What is logged is ids and codes only (rule DA-9): no bodies, addresses or tokens. The code keeps that by logging nothing
//! else; `mask` keeps it once more for what libraries say, by masking everything that looks like an E.164 number
//! in a finished line. `line` says how a line looks, [`work`] which job, slot and trace it belongs to, [`journal`] when it
//! gets a priority, `panics` makes one of a panic. `docs/logs.md` has every field.
//! Metrics are in `metrics.rs`. Standard output belongs to the commands and stays clean.

pub mod journal;
mod line;
mod mask;
mod panics;
pub mod work;

use std::io::{self, IsTerminal as _};

use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::{SubscriberInitExt as _, TryInitError};
use tracing_subscriber::{EnvFilter, Registry, reload};

use crate::config::{LogFormat, LogSettings};

use line::Look;
use mask::Masked;

/// Why logging could not begin.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// `log.level` is not a filter; the configuration checks that first.
    #[error("log.level is not a filter")]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    /// Something else in this process logs already.
    #[error("logging was set up twice")]
    Twice(#[from] TryInitError),
    /// The level cannot be changed any more.
    #[error("the log has ended")]
    Ended(#[from] reload::Error),
}

/// The level of the log, which may change.
#[derive(Debug, Clone)]
pub struct LogLevel(reload::Handle<EnvFilter, Registry>);

impl LogLevel {
    /// Logs from now on what this level or these directives say.
    pub fn set(&self, level: &str) -> Result<(), TelemetryError> {
        self.0.reload(EnvFilter::try_new(level)?)?;
        Ok(())
    }
}

/// Begins logging for the whole process.
pub fn init(settings: &LogSettings) -> Result<LogLevel, TelemetryError> {
    let (filter, level) = reload::Layer::new(EnvFilter::try_new(&settings.level)?);
    let layer = tracing_subscriber::fmt::layer().event_format(look(settings.format));
    let layer = layer.with_writer(|| Masked(io::stderr()));
    tracing_subscriber::registry().with(filter).with(layer).try_init()?;
    panics::log();
    Ok(LogLevel(level))
}

/// How lines look where standard error goes.
fn look(format: LogFormat) -> Look {
    match format {
        LogFormat::Json => Look::Json,
        LogFormat::Text if journal::is_stderr() => Look::Journal,
        LogFormat::Text => Look::Text {
            coloured: io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|set| set.is_empty()),
        },
    }
}
