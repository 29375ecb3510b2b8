//! How a command fails: what is printed, and which exit code tells scripts and systemd.
//!
//! Everything is an `anyhow::Error`; what needs a code of its own is one of the types here, or the
//! configuration's error, found again by its type. A reader that has gone away (`remesa ... | head`) is
//! not a failure.

use std::{io, process::ExitCode};

use crate::{app::Unfit, config::ConfigError, job::Rejection};

/// Failed at run time.
pub const FATAL: u8 = 1;
/// Wrong arguments (`EX_USAGE`).
pub const USAGE: u8 = 64;
/// A configuration that cannot be used (`EX_CONFIG`).
pub const CONFIGURATION: u8 = 78;

/// Arguments that cannot be used together, or name what does not exist in the contract.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Usage(pub String);

/// A job that would be refused, found before it was enqueued.
#[derive(Debug, thiserror::Error)]
#[error("not enqueued: {}: {}", .0.code.as_str(), .0.sentence)]
pub struct Refused(pub Rejection);

/// Failed, and everything about it is printed already.
#[derive(Debug, thiserror::Error)]
#[error("failed")]
pub struct Said;

/// What to print and how to exit.
#[derive(Debug, PartialEq, Eq)]
pub struct Ending {
    /// The sentence for standard error, if there is still something to say.
    pub sentence: Option<String>,
    /// The exit code.
    pub code: u8,
}

impl Ending {
    /// The ending of a command.
    pub fn of(done: anyhow::Result<()>) -> Self {
        let Err(error) = done else { return Self { sentence: None, code: 0 } };
        if error.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe) {
            return Self { sentence: None, code: 0 };
        }
        if error.downcast_ref::<Said>().is_some() {
            return Self { sentence: None, code: FATAL };
        }
        let code = if error.downcast_ref::<Usage>().is_some() {
            USAGE
        } else if error.downcast_ref::<ConfigError>().is_some() || error.downcast_ref::<Unfit>().is_some() {
            CONFIGURATION
        } else {
            FATAL
        };
        // `{:#}` joins the causes with a colon.
        Self { sentence: Some(format!("{error:#}")), code }
    }

    /// For the operating system.
    pub fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[test]
    fn each_kind_of_failure_has_its_exit_code() {
        let code = |error: anyhow::Error| Ending::of(Err(error)).code;
        assert_eq!(Ending::of(Ok(())), Ending { sentence: None, code: 0 });
        assert_eq!(code(anyhow::anyhow!("redis is away")), 1);
        assert_eq!(code(Usage("x".to_owned()).into()), 64);
        let config = Config::parse("nonsense = 1", "test", std::iter::empty()).unwrap_err();
        assert_eq!(code(config.into()), 78);
        let pipe = io::Error::from(io::ErrorKind::BrokenPipe);
        assert_eq!(Ending::of(Err(pipe.into())), Ending { sentence: None, code: 0 });
    }

    #[test]
    fn what_was_printed_already_is_not_said_twice() {
        assert_eq!(Ending::of(Err(Said.into())), Ending { sentence: None, code: 1 });
    }

    #[test]
    fn a_sentence_names_its_causes() {
        let error = anyhow::anyhow!("connection refused").context("no Redis at redis://127.0.0.1:6379/");
        let sentence = Ending::of(Err(error)).sentence.unwrap();
        assert_eq!(sentence, "no Redis at redis://127.0.0.1:6379/: connection refused");
    }
}
