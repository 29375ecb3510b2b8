//! `remesa status`: queues, runs, channels and daemons on one screen, once or live.
//!
//! Live, it says when Redis is away and goes on when it is back; it may be started before Redis is.

mod screen;
mod words;

use std::time::{Duration, Instant};

use crate::{
    app,
    config::Config,
    operate::status::{self, Look, StatusView},
    store::{Store, StoreError},
};

use super::{
    context::{Globals, no_redis, quiet_logs},
    output::{self, Page},
    watch::{Frame, watch_screen},
};

const EXAMPLES: &str = "\
Examples:
  remesa status
  remesa status --json
  remesa status --watch                      live, until Ctrl-C
  remesa status --watch --json               a line of JSON for each change";

/// A Redis that is silent for so long counts as away: the screen must not stand still with it.
const PATIENCE: Duration = Duration::from_secs(3);

/// Arguments of `remesa status`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Look again and again, until Ctrl-C.
    #[arg(long)]
    watch: bool,
    #[command(flatten)]
    format: output::Format,
}

/// Runs the command.
pub async fn run(globals: &Globals, args: Args) -> anyhow::Result<()> {
    if args.watch {
        let config = globals.config()?;
        quiet_logs()?;
        let mut live = Live { store: app::store(&config)?, before: None, shown: None, away: None };
        return watch_screen(args.format, async || Ok(live.frame(&config).await)).await;
    }
    let context = globals.open().await?;
    let status = status::now(&context.store, &context.config).await?;
    if args.format.json {
        output::json(&status)?;
        return Ok(());
    }
    let mut page = Page::default();
    for section in words::sections(&status) {
        section.write(&mut page, section.rows.len(), |_, line| line.to_owned());
    }
    page.print()?;
    Ok(())
}

/// What the live screen remembers.
struct Live {
    store: Store,
    before: Option<Look>,
    shown: Option<StatusView>,
    away: Option<(Instant, String)>,
}

impl Live {
    async fn frame(&mut self, config: &Config) -> Frame {
        let look = tokio::time::timeout(PATIENCE, Look::take(&self.store, config, self.before.as_ref())).await;
        match look.unwrap_or_else(|_| Err(StoreError::Unavailable("it does not answer".into()))) {
            Ok(look) => {
                self.away = None;
                self.shown = Some(look.view(self.before.as_ref()));
                self.before = Some(look);
            }
            Err(error) => {
                // What was counted before says nothing of the time when it is back.
                self.before = None;
                let since = self.away.take().map_or_else(Instant::now, |(since, _)| since);
                self.away = Some((since, error.to_string()));
            }
        }
        let away = self.away.as_ref().map(|(since, why)| (since.elapsed(), format!("{}: {why}", no_redis(config))));
        screen::frame(self.shown.as_ref(), away)
    }
}
