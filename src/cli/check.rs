//! (being written)
use super::{context::Globals, output};
/// Arguments.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  remesa check")]
pub struct Args {
    #[command(flatten)]
    format: output::Format,
}
/// Runs.
pub async fn run(_: &Globals, args: Args) -> anyhow::Result<()> {
    let _ = args.format;
    Ok(())
}
