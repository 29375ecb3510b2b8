//! Campaigns, runs and channels as commands and the look-up show them: read from their hashes, ready for a table or
//! for JSON.
//!
//! What a newer daemon writes besides is passed over; what is missing is empty or nought. The JSON of a view is the
//! same wherever it is shown.

mod channel;
mod list;
mod run;

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;

use crate::domain::{campaign::CampaignState, case::CaseState, delivery::DeliveryState, order::OrderState};

use super::{Store, StoreError};

pub use channel::ChannelState;
pub use list::{CampaignQuery, Listing};
pub use run::RunView;

type Hash = HashMap<String, String>;

/// Runs read by one round trip.
const AT_ONCE: usize = 100;

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
    /// Cases imported, or opened by replies.
    pub cases: u64,
    /// Cases by state.
    pub cases_by_state: BTreeMap<String, u64>,
    /// Deliveries of all runs.
    pub deliveries: u64,
    /// Deliveries by state.
    pub deliveries_by_state: BTreeMap<String, u64>,
    /// Rows refused.
    pub refused: u64,
    /// Rows refused, by code.
    pub refused_by_code: BTreeMap<String, u64>,
    /// Where the refused rows lie in the spool folder, as they came.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_file: Option<String>,
    /// What its jobs warned of: `{code, sentence}`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<serde_json::Value>,
}

/// A campaign with its runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CampaignDetail {
    /// The campaign.
    #[serde(flatten)]
    pub campaign: CampaignView,
    /// Its runs, oldest first.
    pub runs: Vec<RunView>,
}

impl CampaignDetail {
    /// The campaign, if there is one.
    pub async fn load(store: &Store, campaign: &str) -> Result<Option<Self>, StoreError> {
        let Some(view) = CampaignView::load(store, campaign).await? else { return Ok(None) };
        let now_ms = store.now_ms().await?;
        let names = store.run_names(campaign).await?.into_iter().rev();
        let runs_of_it: Vec<_> = names.map(|run| (campaign.to_owned(), run)).collect();
        let mut runs = Vec::with_capacity(runs_of_it.len());
        for some in runs_of_it.chunks(AT_ONCE) {
            runs.extend(RunView::load_all(store, some, now_ms).await?);
        }
        Ok(Some(Self { campaign: view, runs }))
    }
}

/// Fields of a campaign that all its orders share.
const SHARED: [&str; 10] = [
    "category",
    "country",
    "currency",
    "payment_point",
    "link_base",
    "delivery",
    "expires_in_seconds",
    "expires_at",
    "job",
    "source_digest",
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
            cases: number(hash, "cases"),
            cases_by_state: CaseState::ALL
                .iter()
                .map(|state| (state.as_str().to_owned(), number(hash, &format!("cases:{state}"))))
                .filter(|(_, count)| *count > 0)
                .collect(),
            deliveries: number(hash, "deliveries:total"),
            deliveries_by_state: by_state(|state| number(hash, &format!("deliveries:{state}"))),
            refused: number(hash, "refused"),
            refused_by_code: hash
                .iter()
                .filter_map(|(field, value)| Some((field.strip_prefix("refused:")?.to_owned(), value.parse().ok()?)))
                .collect(),
            error_file: hash.get("error_file").filter(|path| !path.is_empty()).cloned(),
            warnings: hash.get("warnings").and_then(|list| serde_json::from_str(list).ok()).unwrap_or_default(),
        }
    }

    /// Deliveries that need nothing more.
    pub fn ended(&self) -> u64 {
        self.deliveries.saturating_sub(open(&self.deliveries_by_state))
    }

    /// Whether nothing changes any more by itself: no row is to come, no message is under way.
    pub fn is_at_rest(&self) -> bool {
        let is_live = CampaignState::parse(&self.state).is_none_or(CampaignState::is_live);
        let sending = self.deliveries_by_state.get(DeliveryState::Sending.as_str()).copied().unwrap_or(0);
        !is_live && sending == 0
    }
}

fn text(hash: &Hash, field: &str) -> String {
    hash.get(field).cloned().unwrap_or_default()
}

fn number(hash: &Hash, field: &str) -> u64 {
    hash.get(field).and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// How many are in a state that the run still has to do something about.
fn open(by_state: &BTreeMap<String, u64>) -> u64 {
    let open = DeliveryState::ALL.iter().filter(|state| state.is_open());
    open.filter_map(|state| by_state.get(state.as_str())).sum()
}

fn by_state(count: impl Fn(DeliveryState) -> u64) -> BTreeMap<String, u64> {
    let all = DeliveryState::ALL.iter().map(|state| (state.as_str().to_owned(), count(*state)));
    all.filter(|(_, count)| *count > 0).collect()
}

/// Fields that hold epoch milliseconds: they end in `_at`, or say an estimate.
fn times(hash: &Hash, except: &[&str]) -> BTreeMap<String, i64> {
    hash.iter()
        .filter(|(field, _)| field.ends_with("_at") || field.starts_with("estimated_"))
        .filter(|(field, _)| !except.contains(&field.as_str()))
        .filter_map(|(field, value)| Some((field.clone(), value.parse().ok()?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn hash(fields: &[(&str, &str)]) -> Hash {
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
                ("cases", "4"),
                ("cases:new", "4"),
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
        assert_eq!((view.orders_by_state["available"], view.orders_by_state["paid"]), (7, 3));
        assert_eq!((view.cases, view.cases_by_state["new"]), (4, 4));
        assert_eq!((view.deliveries_by_state["sent"], view.deliveries_by_state["failed"]), (9, 1));
        assert_eq!(view.refused_by_code["missing_amount"], 2);
        assert_eq!((view.settings["currency"].as_str(), view.times["created_at"]), ("EUR", 1_763_719_200_000));
    }
}
