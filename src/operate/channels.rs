//! Which channels there are, and whether they send.
//!
//! Known are the channels of this configuration and those that daemons publish, which may have another.

use std::collections::BTreeSet;

use redis::cmd;
use serde::Serialize;

use crate::{
    config::Config,
    store::{Store, StoreError, system::SEEN, view::ChannelState},
};

/// A channel as it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ChannelView {
    /// Its name.
    pub channel: String,
    /// `open`, `paused`, `blocked`, `breaker`.
    pub state: &'static str,
    /// The same as a phrase.
    pub shown: String,
    /// Whether a daemon seen in the last ten minutes serves it.
    pub served: bool,
    /// Whether it is in this configuration.
    pub configured: bool,
    /// Its kind, where it is configured here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<&'static str>,
    /// Message parts a second, where it is configured here; 0 = unlimited.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate_per_second: Option<u64>,
}

/// The channels of this configuration and those that daemons publish.
pub async fn names(store: &Store, config: &Config) -> Result<Vec<String>, StoreError> {
    let mut names: BTreeSet<String> = config.channels.keys().cloned().collect();
    for (_, worker) in store.workers().await? {
        names.extend(published(worker.get("channels").map_or("", String::as_str)));
    }
    // What daemons that are gone had waiting still waits.
    let depth: Vec<String> = store.connection.query(cmd("HKEYS").arg(store.keys.depth())).await?;
    names.extend(depth.iter().filter_map(|field| field.strip_suffix(":recipients")).map(str::to_owned));
    Ok(names.into_iter().collect())
}

fn published(channels: &str) -> impl Iterator<Item = String> {
    channels.split(',').filter(|name| !name.is_empty()).map(str::to_owned)
}

/// Each channel as it stands.
pub async fn views(store: &Store, config: &Config, now_ms: i64) -> Result<Vec<ChannelView>, StoreError> {
    let window_ms = i64::try_from(SEEN.as_millis()).unwrap_or(i64::MAX);
    let mut views = Vec::new();
    for channel in names(store, config).await? {
        let hash = store.channel(&channel).await?;
        let state = ChannelState::of(&hash, now_ms);
        let seen_at = hash.get("seen_at").and_then(|at| at.parse::<i64>().ok());
        let settings = config.channels.get(&channel);
        views.push(ChannelView {
            state: state.word(),
            shown: state.to_string(),
            served: seen_at.is_some_and(|at| now_ms.saturating_sub(at) < window_ms),
            configured: settings.is_some(),
            kind: settings.map(|settings| settings.kind.as_str()),
            rate_per_second: settings.map(|settings| u64::from(settings.rate_per_second)),
            channel,
        });
    }
    Ok(views)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_channels_are_a_list_that_may_be_empty() {
        assert_eq!(published("a,b").collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(published("").count(), 0);
    }
}
