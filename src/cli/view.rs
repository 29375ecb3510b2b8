//! Campaigns and runs as commands show them: read from their hashes, ready for a table or for JSON.
//!
//! What a newer daemon writes besides is passed over; what is missing is empty or nought.

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;

use crate::{
    domain::{
        clock::EpochMs,
        delivery::DeliveryState,
        order::OrderState,
        run::{RunFlags, RunState},
    },
    store::{Store, StoreError},
};

type Hash = HashMap<String, String>;

/// A campaign.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CampaignView {
    /// Its name.
    pub campaign: String,
    /// Its name for people.
    pub name: String,
    /// Its state.
    pub state: String,
    /// Why it stands still, if it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What all orders share: `category`, `payment_point`, `currency` ...
    pub settings: BTreeMap<String, String>,
    /// Times in epoch milliseconds: `created_at`, `delivered_at` ...
    pub times: BTreeMap<String, i64>,
    /// Orders generated.
    pub orders: u64,
    /// Orders by state.
    pub orders_by_state: BTreeMap<String, u64>,
    /// Deliveries of all runs.
    pub deliveries: u64,
    /// Deliveries by state.
    pub deliveries_by_state: BTreeMap<String, u64>,
    /// Rows refused.
    pub refused: u64,
    /// Rows refused, by code.
    pub refused_by_code: BTreeMap<String, u64>,
}

/// Fields of a campaign that all its orders share.
const SHARED: [&str; 9] = [
    "category",
    "country",
    "currency",
    "payment_point",
    "link_base",
    "delivery",
    "expires_in_seconds",
    "expires_at",
    "job",
];

impl CampaignView {
    /// The campaign, if there is one.
    pub async fn load(store: &Store, campaign: &str) -> Result<Option<Self>, StoreError> {
        let hash = store.campaign(campaign).await?;
        Ok((!hash.is_empty()).then(|| Self::of(campaign, &hash)))
    }

    /// What its hash says.
    pub fn of(campaign: &str, hash: &Hash) -> Self {
        let shared = SHARED.iter().filter_map(|field| Some(((*field).to_owned(), hash.get(*field)?.clone())));
        let reason = ["paused_by", "failed_reason"].into_iter().find_map(|field| hash.get(field).cloned());
        Self {
            campaign: campaign.to_owned(),
            name: text(hash, "name"),
            state: text(hash, "state"),
            reason,
            settings: shared.collect(),
            times: times(hash, &["expires_at"]),
            orders: number(hash, "orders"),
            orders_by_state: OrderState::ALL
                .iter()
                .map(|state| (state.as_str().to_owned(), number(hash, &format!("orders:{state}"))))
                .filter(|(_, count)| *count > 0)
                .collect(),
            deliveries: number(hash, "deliveries:total"),
            deliveries_by_state: by_state(|state| number(hash, &format!("deliveries:{state}"))),
            refused: number(hash, "refused"),
            refused_by_code: hash
                .iter()
                .filter_map(|(field, value)| Some((field.strip_prefix("refused:")?.to_owned(), value.parse().ok()?)))
                .collect(),
        }
    }
}

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
    /// Its recipients: the ordinals from this one ...
    pub first: u64,
    /// ... to this one.
    pub end: u64,
}

impl RunView {
    /// The run, if there is one, as it stands at `now_ms`.
    pub async fn load(store: &Store, campaign: &str, run: &str, now_ms: i64) -> Result<Option<Self>, StoreError> {
        let hash = store.run(campaign, run).await?;
        if hash.is_empty() {
            return Ok(None);
        }
        let above = store.campaign_fields(campaign, &["state", "paused_by"]).await?;
        let mut above = above.into_iter();
        let campaign_state = above.next().flatten().unwrap_or_default();
        let paused_by = above.next().flatten().filter(|_| campaign_state == "paused");
        let channel = match hash.get("channel") {
            Some(channel) => store.channel(channel).await?,
            None => Hash::new(),
        };
        Ok(Some(Self::of(campaign, run, &hash, paused_by, &ChannelState::of(&channel, now_ms))))
    }

    /// What its hash says, below a campaign that may be paused and beside a channel that may stand still.
    pub fn of(
        campaign: &str,
        run: &str,
        hash: &Hash,
        campaign_paused_by: Option<String>,
        channel: &ChannelState,
    ) -> Self {
        let by_campaign = campaign_paused_by.map(|by| format!("campaign paused by {by}"));
        let (by_channel, held_by_channel) = match channel {
            ChannelState::Paused { reason } => (Some(format!("channel paused: {reason}")), None),
            ChannelState::Blocked { .. } | ChannelState::Breaker { .. } => (None, Some(channel.to_string())),
            ChannelState::Open => (None, None),
        };
        let own = hash.get("paused_by").map(|by| format!("paused by {by}"));
        let flags = RunFlags {
            paused_by: own.or(by_campaign).or(by_channel),
            held_until: hash.get("held_until").and_then(|at| at.parse().ok()).map(EpochMs),
            breaker: held_by_channel.is_some(),
            auto_paused: hash.get("auto_paused").cloned(),
        };
        let state = text(hash, "state");
        let shown = RunState::parse(&state).map_or_else(|| state.clone(), |s| s.shown(&flags).as_str().to_owned());
        let held = flags.held_until.map(|at| format!("contact hours open at {at}"));
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
            first: number(hash, "first"),
            end: number(hash, "end"),
        }
    }

    /// Deliveries that need nothing more.
    pub fn ended(&self) -> u64 {
        let open = DeliveryState::ALL.iter().filter(|state| state.is_open());
        self.total.saturating_sub(open.map(|state| self.count(*state)).sum())
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

/// Whether a channel sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChannelState {
    /// It does.
    Open,
    /// Somebody, or a provider that refuses us, paused it.
    Paused {
        /// Why.
        reason: String,
    },
    /// The provider asked us to wait.
    Blocked {
        /// Until then.
        until: EpochMs,
        /// Its code.
        reason: String,
    },
    /// The breaker is open.
    Breaker {
        /// Until then; one message tries the provider after it.
        until: EpochMs,
        /// The failure that opened it.
        reason: String,
    },
}

impl ChannelState {
    /// What its hash says at `now_ms`.
    pub fn of(hash: &Hash, now_ms: i64) -> Self {
        let until = |field: &str| hash.get(field).and_then(|at| at.parse::<i64>().ok());
        if let Some(reason) = hash.get("paused") {
            return Self::Paused { reason: reason.clone() };
        }
        if let Some(at) = until("blocked_until").filter(|at| *at > now_ms) {
            return Self::Blocked { until: EpochMs(at), reason: text(hash, "blocked_reason") };
        }
        // A breaker whose time is up is half open: it stays listed until a probe has closed it.
        if let Some(at) = until("breaker_until") {
            return Self::Breaker { until: EpochMs(at), reason: text(hash, "breaker_reason") };
        }
        Self::Open
    }

    /// The word for programs.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Paused { .. } => "paused",
            Self::Blocked { .. } => "blocked",
            Self::Breaker { .. } => "breaker",
        }
    }
}

impl std::fmt::Display for ChannelState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Open => f.write_str("sends"),
            Self::Paused { reason } => write!(f, "paused ({reason})"),
            Self::Blocked { until, reason } => write!(f, "blocked by the provider until {until} ({reason})"),
            Self::Breaker { until, reason } => write!(f, "breaker open until {until} ({reason})"),
        }
    }
}

fn text(hash: &Hash, field: &str) -> String {
    hash.get(field).cloned().unwrap_or_default()
}

fn number(hash: &Hash, field: &str) -> u64 {
    hash.get(field).and_then(|text| text.parse().ok()).unwrap_or(0)
}

fn by_state(count: impl Fn(DeliveryState) -> u64) -> BTreeMap<String, u64> {
    let all = DeliveryState::ALL.iter().map(|state| (state.as_str().to_owned(), count(*state)));
    all.filter(|(_, count)| *count > 0).collect()
}

/// Fields that end in `_at` and hold epoch milliseconds.
fn times(hash: &Hash, except: &[&str]) -> BTreeMap<String, i64> {
    hash.iter()
        .filter(|(field, _)| field.ends_with("_at") && !except.contains(&field.as_str()))
        .filter_map(|(field, value)| Some((field.clone(), value.parse().ok()?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::format::summary;

    fn hash(fields: &[(&str, &str)]) -> Hash {
        fields.iter().map(|(field, value)| ((*field).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn a_campaign_shows_its_totals_by_state_and_code() {
        let view = CampaignView::of(
            "nov",
            &hash(&[
                ("name", "November"),
                ("state", "running"),
                ("orders", "10"),
                ("orders:available", "7"),
                ("orders:paid", "3"),
                ("deliveries:total", "10"),
                ("deliveries:sent", "9"),
                ("deliveries:failed", "1"),
                ("refused", "2"),
                ("refused:missing_amount", "2"),
                ("currency", "EUR"),
                ("created_at", "1763719200000"),
            ]),
        );
        assert_eq!((view.orders, view.refused, view.deliveries), (10, 2, 10));
        assert_eq!(summary(&view.orders_by_state), "7 available, 3 paid");
        assert_eq!(summary(&view.deliveries_by_state), "9 sent, 1 failed");
        assert_eq!(view.refused_by_code["missing_amount"], 2);
        assert_eq!((view.settings["currency"].as_str(), view.times["created_at"]), ("EUR", 1_763_719_200_000));
    }

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
    fn a_channel_shows_its_strongest_reason() {
        let state = |fields: &[(&str, &str)]| ChannelState::of(&hash(fields), 1000);
        assert_eq!(state(&[("blocked_until", "900")]), ChannelState::Open);
        assert_eq!(state(&[("blocked_until", "1100"), ("breaker_until", "1200")]).word(), "blocked");
        assert_eq!(state(&[("breaker_until", "900"), ("breaker_reason", "connect")]).word(), "breaker");
        assert_eq!(state(&[("paused", "ana"), ("blocked_until", "1100")]).to_string(), "paused (ana)");
    }
}
