//! Logs: one line an event on standard error, for people or as JSON, filtered as the configuration says.
//!
//! What is logged is ids only (rule DA-9): no bodies, addresses or tokens. The code keeps that by logging nothing
//! else; this file keeps it once more for what libraries say, by masking everything that looks like an E.164 number
//! in a finished line. Metrics are in `metrics.rs`. Standard output belongs to the commands and stays clean.

use std::borrow::Cow;
use std::io::{self, IsTerminal as _, Write};

use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::{SubscriberInitExt as _, TryInitError};
use tracing_subscriber::{EnvFilter, Registry, reload};

use crate::config::{LogFormat, LogSettings};

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
    let registry = tracing_subscriber::registry().with(filter);
    let layer = tracing_subscriber::fmt::layer().with_writer(|| Masked(io::stderr()));
    match settings.format {
        LogFormat::Text => {
            let colours = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|set| set.is_empty());
            registry.with(layer.with_ansi(colours)).try_init()?;
        }
        LogFormat::Json => {
            let layer = layer.json().flatten_event(true).with_current_span(true).with_span_list(false);
            registry.with(layer).try_init()?;
        }
    }
    Ok(LogLevel(level))
}

/// Masks telephone numbers on their way out. The formatter hands over one whole line at a time.
struct Masked<W>(W);

impl<W: Write> Write for Masked<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.write_all(&mask(line))?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// A `+` and so many digits are a telephone number (E.164 has at most 15; shorter ones are offsets and counts).
const FEWEST_DIGITS: usize = 8;
/// Digits left to read at the beginning and at the end, enough to tell two test numbers apart.
const SHOWN: (usize, usize) = (2, 3);

fn mask(line: &[u8]) -> Cow<'_, [u8]> {
    let mut masked = Cow::Borrowed(line);
    let mut from = 0;
    while let Some(plus) = line.iter().skip(from).position(|byte| *byte == b'+').map(|at| from + at) {
        let first = plus + 1;
        let digits = line.iter().skip(first).take_while(|byte| byte.is_ascii_digit()).count();
        if digits >= FEWEST_DIGITS {
            let hidden = first + SHOWN.0..first + digits - SHOWN.1;
            if let Some(hidden) = masked.to_mut().get_mut(hidden) {
                hidden.fill(b'*');
            }
        }
        from = first + digits;
    }
    masked
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use proptest::prelude::*;

    use super::{Masked, mask};

    #[test]
    fn a_number_in_a_line_is_masked_wherever_it_stands() {
        let mut out = Masked(Vec::new());
        out.write_all(b"to=+34600123456 (+525512345678) +5 2026-11-01T09:00:00+01:00 +12345678").unwrap();
        let line = String::from_utf8(out.0).unwrap();
        assert_eq!(line, "to=+34******456 (+52*******678) +5 2026-11-01T09:00:00+01:00 +12***678");
    }

    #[test]
    fn a_line_without_a_number_is_not_copied() {
        assert!(matches!(mask(b"run=delivery@1 n=12345678 ++ +"), std::borrow::Cow::Borrowed(_)));
    }

    proptest! {
        #[test]
        fn no_line_keeps_eight_digits_behind_a_plus(line in "[+0-9a-z ]{0,60}") {
            let masked = mask(line.as_bytes());
            prop_assert_eq!(masked.len(), line.len());
            for rest in masked.split(|byte| *byte == b'+').skip(1) {
                prop_assert!(rest.iter().take_while(|byte| byte.is_ascii_digit()).count() < 8);
            }
        }
    }
}
