//! The commands of the real binary, run to their end beside everything else.

use std::process::{Command, Output};

use serde_json::Value;

use super::daemon::Settings;

/// Runs a command to its end, beside everything else.
pub(crate) async fn run(mut command: Command) -> Output {
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

/// Standard output of a command that ends well.
pub(crate) async fn shown(settings: &Settings, arguments: &[&str]) -> String {
    let output = run(settings.command(arguments)).await;
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{arguments:?}: {told}");
    String::from_utf8(output.stdout).unwrap()
}

/// Standard error of a command that fails.
pub(crate) async fn refused(settings: &Settings, arguments: &[&str]) -> String {
    let output = run(settings.command(arguments)).await;
    assert!(!output.status.success(), "{arguments:?}");
    String::from_utf8(output.stderr).unwrap()
}

/// The JSON that a command prints.
pub(crate) async fn json_of(settings: &Settings, arguments: &[&str]) -> Value {
    serde_json::from_str(&shown(settings, arguments).await).unwrap()
}
