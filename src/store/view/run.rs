//! A run as it is shown: its state under its flags, its campaign and its channel, its counters, its pace.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::{ChannelState, Hash, Store, StoreError, by_state, number, open, text, times};
use crate::domain::{
    actor::actor,
    clock::EpochMs,
    delivery::DeliveryState,
    run::{RunFlags, RunState, ShownState},
};

/// A run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RunView {
    /// Its campaign.
    pub campaign: String,
    /// Its name.
    pub run: String,
    /// Its state.
    pub state: String,
    /// The state that people see: flags and the state of campaign and channel included.
    pub shown: String,
    /// Why it stands still, if it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Its channel.
    pub channel: String,
    /// Its deliveries.
    pub total: u64,
    /// Deliveries by state.
    pub deliveries_by_state: BTreeMap<String, u64>,
    /// Times in epoch milliseconds.
    pub times: BTreeMap<String, i64>,
    /// While it runs: messages a second since its beginning, pauses included.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub messages_per_second: Option<u64>,
    /// When it ends at that pace (epoch ms).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub estimated_end_at: Option<i64>,
    /// Whom it is for: `orders`, `cases`.
    pub audience: String,
    /// Cases that a filter, or being closed, left out; they are counted as skipped.
    #[serde(skip_serializing_if = "is_none")]
    pub left_out: u64,
    /// Cases that its messages closed.
    #[serde(skip_serializing_if = "is_none")]
    pub cases_closed: u64,
    /// Its recipients: the ordinals from this one ...
    pub first: u64,
    /// ... to this one.
    pub end: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "for serde")]
const fn is_none(count: &u64) -> bool {
    *count == 0
}

impl RunView {
    /// The run, if there is one, as it stands at `now_ms`.
    pub async fn load(store: &Store, campaign: &str, run: &str, now_ms: i64) -> Result<Option<Self>, StoreError> {
        let named = (campaign.to_owned(), run.to_owned());
        Ok(Self::load_all(store, std::slice::from_ref(&named), now_ms).await?.pop())
    }

    /// These runs, `(campaign, run)`, in their order; one that is gone is left out. Three round trips, however many.
    pub async fn load_all(store: &Store, runs: &[(String, String)], now_ms: i64) -> Result<Vec<Self>, StoreError> {
        if runs.is_empty() {
            return Ok(Vec::new());
        }
        let mut pipeline = redis::pipe();
        for (campaign, run) in runs {
            pipeline.cmd("HGETALL").arg(store.keys.run(campaign, run));
        }
        let hashes: Vec<Hash> = store.connection.pipeline(&pipeline).await?;
        let paused = paused_by(store, runs.iter().map(|(campaign, _)| campaign.as_str())).await?;
        let channels = channels(store, hashes.iter().filter_map(|hash| hash.get("channel")), now_ms).await?;
        let found = runs.iter().zip(&hashes).filter(|(_, hash)| !hash.is_empty());
        let views = found.map(|((campaign, run), hash)| {
            let channel = hash.get("channel").and_then(|channel| channels.get(channel.as_str()));
            let by = paused.get(campaign.as_str()).cloned();
            let mut view = Self::of(campaign, run, hash, by, channel.unwrap_or(&ChannelState::Open));
            view.estimate(view.ended(), view.took(now_ms), EpochMs(now_ms));
            view
        });
        Ok(views.collect())
    }

    /// Says how fast it is and when it ends, where so many ended within so long; nothing of a run that stands still.
    pub fn estimate(&mut self, ended: u64, within: std::time::Duration, now: EpochMs) {
        let millis = u64::try_from(within.as_millis()).unwrap_or(u64::MAX);
        let per_second = ended.saturating_mul(1000).saturating_add(millis / 2).checked_div(millis);
        let left = self.total.saturating_sub(self.ended());
        let rest = left.saturating_mul(millis).checked_div(ended).map(std::time::Duration::from_millis);
        let moves = self.shown == ShownState::Running.as_str() && ended > 0;
        self.messages_per_second = per_second.filter(|_| moves);
        self.estimated_end_at = rest.filter(|_| moves).map(|rest| now.plus(rest).0);
    }

    /// What its hash says, below a campaign that may be paused and beside a channel that may stand still.
    pub fn of(
        campaign: &str,
        run: &str,
        hash: &Hash,
        campaign_paused_by: Option<String>,
        channel: &ChannelState,
    ) -> Self {
        let by_campaign = campaign_paused_by.map(|by| format!("campaign paused by {}", actor(&by)));
        let (by_channel, held_by_channel) = match channel {
            ChannelState::Paused { reason } => (Some(format!("channel paused: {}", actor(reason))), None),
            ChannelState::Blocked { .. } | ChannelState::Breaker { .. } => (None, Some(channel.to_string())),
            ChannelState::Open => (None, None),
        };
        let own = hash.get("paused_by").map(|by| format!("paused by {}", actor(by)));
        let flags = RunFlags {
            paused_by: own.or(by_campaign).or(by_channel),
            held_until: hash.get("held_until").and_then(|at| at.parse().ok()).map(EpochMs),
            breaker: held_by_channel.is_some(),
            auto_paused: hash.get("auto_paused").map(|reason| {
                let (errors, attempts) = (number(hash, "auto_paused_errors"), number(hash, "auto_paused_attempts"));
                format!("paused itself: {reason} ({errors} of the last {attempts} attempts)")
            }),
        };
        let state = text(hash, "state");
        let shown = RunState::parse(&state).map_or_else(|| state.clone(), |s| s.shown(&flags).as_str().to_owned());
        let why = hash.get("held_reason").filter(|why| *why != "outside_hours").map(|why| format!(" ({why})"));
        let held = flags.held_until.map(|at| format!("contact hours open at {at}{}", why.unwrap_or_default()));
        let reason = flags.auto_paused.or(flags.paused_by).or(held).or(held_by_channel);
        Self {
            campaign: campaign.to_owned(),
            run: run.to_owned(),
            reason: reason.filter(|_| state == RunState::Running.as_str()),
            state,
            shown,
            channel: text(hash, "channel"),
            total: number(hash, "total"),
            deliveries_by_state: by_state(|state| number(hash, state.as_str())),
            times: times(hash, &[]),
            messages_per_second: None,
            estimated_end_at: None,
            audience: text(hash, "audience"),
            left_out: number(hash, "left_out"),
            cases_closed: number(hash, "cases_closed"),
            first: number(hash, "first"),
            end: number(hash, "end"),
        }
    }

    /// Deliveries that need nothing more.
    pub fn ended(&self) -> u64 {
        self.total.saturating_sub(open(&self.deliveries_by_state))
    }

    /// Deliveries in one state.
    pub fn count(&self, state: DeliveryState) -> u64 {
        self.deliveries_by_state.get(state.as_str()).copied().unwrap_or(0)
    }

    /// From its start to its end, or to `now_ms`.
    pub fn took(&self, now_ms: i64) -> std::time::Duration {
        let at = |field: &str| self.times.get(field).copied();
        let (Some(start), end) = (at("created_at"), at("finished_at")) else { return std::time::Duration::ZERO };
        EpochMs(end.unwrap_or(now_ms)).since(EpochMs(start))
    }
}

/// Who paused these campaigns, of those that are paused.
async fn paused_by<'a>(
    store: &Store,
    campaigns: impl Iterator<Item = &'a str>,
) -> Result<BTreeMap<&'a str, String>, StoreError> {
    let campaigns: BTreeSet<&str> = campaigns.collect();
    let mut pipeline = redis::pipe();
    for campaign in &campaigns {
        pipeline.cmd("HMGET").arg(store.keys.campaign(campaign)).arg("state").arg("paused_by");
    }
    let found: Vec<(Option<String>, Option<String>)> = store.connection.pipeline(&pipeline).await?;
    let paused = campaigns.into_iter().zip(found).filter(|(_, (state, _))| state.as_deref() == Some("paused"));
    Ok(paused.filter_map(|(campaign, (_, by))| Some((campaign, by?))).collect())
}

/// How these channels stand at `now_ms`.
async fn channels<'a>(
    store: &Store,
    names: impl Iterator<Item = &'a String>,
    now_ms: i64,
) -> Result<BTreeMap<&'a str, ChannelState>, StoreError> {
    let names: BTreeSet<&str> = names.map(String::as_str).collect();
    if names.is_empty() {
        return Ok(BTreeMap::new());
    }
    let mut pipeline = redis::pipe();
    for name in &names {
        pipeline.cmd("HGETALL").arg(store.keys.channel(name));
    }
    let hashes: Vec<Hash> = store.connection.pipeline(&pipeline).await?;
    Ok(names.into_iter().zip(hashes).map(|(name, hash)| (name, ChannelState::of(&hash, now_ms))).collect())
}

#[cfg(test)]
mod tests {
    use super::{super::tests::hash, *};

    #[test]
    fn a_run_is_shown_paused_by_itself_its_campaign_or_its_channel() {
        let running = hash(&[("state", "running"), ("total", "5"), ("queued", "2"), ("sent", "3")]);
        let shown = |hash: &Hash, by: Option<&str>, channel: ChannelState| {
            let view = RunView::of("c", "r", hash, by.map(str::to_owned), &channel);
            (view.shown, view.reason.unwrap_or_default())
        };
        let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        assert_eq!(shown(&running, None, ChannelState::Open), pair("running", ""));
        assert_eq!(shown(&running, Some("ana"), ChannelState::Open), pair("paused", "campaign paused by ana"));
        let denied = ChannelState::Paused { reason: "http_401".to_owned() };
        assert_eq!(shown(&running, None, denied.clone()), pair("paused", "channel paused: http_401"));
        let blocked = ChannelState::Blocked { until: EpochMs(1_763_719_200_000), reason: "http_429".to_owned() };
        assert_eq!(shown(&running, None, blocked).0, "held");
        let own = hash(&[("state", "running"), ("paused_by", "ana")]);
        assert_eq!(shown(&own, None, ChannelState::Open), pair("paused", "paused by ana"));
        let itself = [
            ("auto_paused", "too_many_errors:server_error"),
            ("auto_paused_errors", "431"),
            ("auto_paused_attempts", "1960"),
        ];
        let itself = hash(&[&[("state", "running")], itself.as_slice()].concat());
        let why = "paused itself: too_many_errors:server_error (431 of the last 1960 attempts)";
        assert_eq!(shown(&itself, None, ChannelState::Open), pair("paused", why));
        let over = hash(&[("state", "finished")]);
        assert_eq!(shown(&over, Some("ana"), denied), pair("finished", ""));
    }

    #[test]
    fn what_is_ended_is_the_total_without_what_is_open() {
        let fields =
            [("total", "9"), ("queued", "2"), ("retry", "1"), ("sending", "1"), ("sent", "4"), ("unknown", "1")];
        let view = RunView::of("c", "r", &hash(&fields), None, &ChannelState::Open);
        assert_eq!((view.ended(), view.count(DeliveryState::Sent)), (5, 4));
    }

    #[test]
    fn a_run_ends_when_what_is_left_has_gone_at_its_pace() {
        let fields = [("state", "running"), ("total", "100"), ("queued", "60"), ("sent", "40")];
        let mut view = RunView::of("c", "r", &hash(&fields), None, &ChannelState::Open);
        view.estimate(40, std::time::Duration::from_secs(20), EpochMs(1_763_719_200_000));
        assert_eq!((view.messages_per_second, view.estimated_end_at), (Some(2), Some(1_763_719_230_000)));
        view.estimate(0, std::time::Duration::from_secs(20), EpochMs(1_763_719_200_000));
        assert_eq!((view.messages_per_second, view.estimated_end_at), (None, None));
        view.shown = "paused".to_owned();
        view.estimate(40, std::time::Duration::from_secs(20), EpochMs(1_763_719_200_000));
        assert_eq!(view.estimated_end_at, None);
    }
}
