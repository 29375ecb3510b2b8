//! A file that is not here: the job is given back to the daemons that may have it.
//!
//! Whoever does not find the file notes it under the job, and lets the job rest a little; the alarm clock brings it back
//! to whoever is free. It is refused when every daemon that beats has looked, or when `sources.seek` is over. Nothing is
//! tried in a circle: a daemon that looked before looks again at most twice a second, which costs it one `open`.

use std::time::Duration;

use crate::{
    domain::clock::EpochMs,
    job::{Outcome, Rejection, RejectionCode, RowsSpec},
    source::SourceError,
    store::StoreError,
};

use super::Intake;

/// Between two looks.
const REST: Duration = Duration::from_millis(500);

/// Who looked is remembered for this long beyond `sources.seek`.
const REMEMBERED: Duration = Duration::from_mins(10);

impl Intake<'_> {
    /// Gives the job back while another daemon may have its file. `None`: all have looked, or time is up.
    pub(super) async fn seek(&self) -> Result<Option<Outcome>, StoreError> {
        let (store, within) = (&self.ctx.store, self.ctx.config.sources.seek);
        let sought = store.note_sought(self.id.as_str(), &self.ctx.incarnation, within + REMEMBERED).await?;
        let now = EpochMs(store.now_ms().await?);
        let since = sought.values().min().map_or(now, |at| EpochMs(*at));
        let is_left = |name: &String| !sought.contains_key(name) && !self.ctx.dead.contains(name);
        let others_left = store.workers().await?.iter().any(|(name, _)| is_left(name));
        if !others_left || now.since(since) >= within {
            return Ok(None);
        }
        tracing::info!(job = %self.id, looked = sought.len(), "the file is not here: given back to those that may have it");
        Ok(Some(Outcome::Snooze { until: now.plus(REST) }))
    }

    /// The file is here: whoever has to look for it again begins from the start.
    pub(in crate::handler) async fn found(&self) -> Result<(), StoreError> {
        if matches!(self.rows, RowsSpec::File { .. }) {
            self.ctx.store.forget_sought(self.id.as_str()).await?;
        }
        Ok(())
    }

    /// The refusal of a file that nobody has; the next try begins from the start.
    pub(super) async fn missing(&self, error: &SourceError) -> Result<Rejection, StoreError> {
        let looked = self.ctx.store.forget_sought(self.id.as_str()).await?;
        let rule = match looked.as_slice() {
            [] | [_] => error.to_string(),
            several => format!("{error} of any of the {} daemons that looked: {}", several.len(), several.join(", ")),
        };
        Ok(Rejection::of_field(RejectionCode::SourceMissing, "rows_from", rule))
    }
}
