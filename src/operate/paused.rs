//! Runs that paused themselves (BM-26): nobody's order, so the first thing an operator has to see.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::store::{Store, StoreError};

/// A run that paused itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PausedRun {
    /// Its campaign.
    pub campaign: String,
    /// Its name.
    pub run: String,
    /// Its channel.
    pub channel: String,
    /// Why, `too_many_errors:<code of the last failure>`.
    pub reason: String,
    /// Attempts that failed.
    pub errors: u64,
    /// Of so many.
    pub attempts: u64,
    /// Since when (epoch ms).
    pub since: Option<i64>,
}

impl PausedRun {
    /// The command that lets it go on.
    pub fn resume(&self) -> String {
        format!("remesa campaign resume {} --run {}", self.campaign, self.run)
    }
}

/// Those of these running runs that paused themselves.
pub async fn by_themselves(store: &Store, runs: &BTreeSet<(String, String)>) -> Result<Vec<PausedRun>, StoreError> {
    let mut pipeline = redis::pipe();
    for (campaign, run) in runs {
        pipeline.cmd("HMGET").arg(store.keys.run(campaign, run)).arg(&FIELDS);
    }
    let found: Vec<[Option<String>; FIELDS.len()]> =
        if runs.is_empty() { Vec::new() } else { store.connection.pipeline(&pipeline).await? };
    let paused = runs.iter().zip(found).filter_map(|((campaign, run), fields)| {
        let [state, reason, errors, attempts, since, channel] = fields;
        let number = |text: Option<String>| text.and_then(|text| text.parse().ok()).unwrap_or(0);
        Some(PausedRun {
            campaign: campaign.clone(),
            run: run.clone(),
            reason: reason.filter(|_| state.as_deref() == Some("running"))?,
            channel: channel.unwrap_or_default(),
            errors: number(errors),
            attempts: number(attempts),
            since: since.and_then(|text| text.parse().ok()),
        })
    });
    Ok(paused.collect())
}

/// What is read of a run.
const FIELDS: [&str; 6] =
    ["state", "auto_paused", "auto_paused_errors", "auto_paused_attempts", "auto_paused_at", "channel"];
