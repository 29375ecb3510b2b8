//! The program `remesa`: arguments, runtime, command, exit code.
//!
//! The commands are in `cli/`, one file a group; what they share (configuration, logs, connection) is in
//! `cli/context.rs`; the daemon is composed in `app.rs`. Exit codes: 0 done or drained, 1 failed, 64
//! wrong arguments, 78 a configuration that cannot be used; systemd does not restart on the last two.

use std::process::ExitCode;

use remesa::{
    cli::{self, error::Ending},
    telemetry::journal,
};

fn main() -> ExitCode {
    let arguments = match cli::arguments() {
        Ok(arguments) => arguments,
        Err(code) => return code,
    };
    let done = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(anyhow::Error::from)
        .and_then(|runtime| runtime.block_on(cli::run(arguments)));
    let ending = Ending::of(done);
    if let Some(sentence) = &ending.sentence {
        cli::output::note(journal::failure(&format!("remesa: {sentence}")));
    }
    ending.exit_code()
}
