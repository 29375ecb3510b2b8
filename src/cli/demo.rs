//! (being written)
use super::output;
/// Arguments.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  remesa demo")]
pub struct Args {
    #[command(flatten)]
    format: output::Format,
}
/// Runs.
pub async fn run(args: Args) -> anyhow::Result<()> {
    let _ = args.format;
    Ok(())
}
