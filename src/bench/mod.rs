//! (being written)
/// Arguments.
#[derive(Debug, clap::Args)]
pub struct BenchArgs {}
/// Runs.
pub async fn run(_args: BenchArgs) -> anyhow::Result<()> {
    Ok(())
}
