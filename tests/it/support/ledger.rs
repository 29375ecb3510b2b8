//! The audit: every cell of a run's ledger is counted again and compared with the counters of run and campaign.
//!
//! It reads as another system would: pages of 128, an absent cell is queued, and in a cancelled run what is absent,
//! held or waiting for a retry reads as `skipped: cancelled`.

use std::collections::{BTreeMap, HashMap};

use redis::AsyncCommands as _;
use redis::aio::MultiplexedConnection;

/// Letters and names of the delivery states.
const STATES: [(&str, &str); 11] = [
    ("q", "queued"),
    ("c", "sending"),
    ("s", "sent"),
    ("d", "delivered"),
    ("u", "undelivered"),
    ("x", "expired"),
    ("f", "failed"),
    ("k", "skipped"),
    ("h", "held"),
    ("r", "retry"),
    ("n", "unknown"),
];

/// Recipients by state, states without any left out.
pub(crate) type Counted = BTreeMap<&'static str, u64>;

/// Recounts a run and checks its counters. Returns what the ledger says.
pub(crate) async fn ledger_audit(db: &mut MultiplexedConnection, campaign: &str, run: &str) -> Counted {
    let run_key = format!("remesa:{{{campaign}}}:run:{run}");
    let hash: HashMap<String, String> = db.hgetall(&run_key).await.unwrap();
    let number = |field: &str| hash[field].parse::<u64>().unwrap();
    let cancelled = hash["state"] == "cancelled";
    let mut counted = Counted::new();
    let mut count = |cell: Option<&str>| {
        let letter = cell.map_or("q", |cell| &cell[..1]);
        let letter = if cancelled && ["q", "h", "r"].contains(&letter) { "k" } else { letter };
        let (_, state) = STATES.iter().find(|(known, _)| *known == letter).expect("a known letter");
        *counted.entry(*state).or_default() += 1;
    };
    for n in number("first")..=number("end") {
        let cell: Option<String> = db.hget(format!("{run_key}:ledger:{}", n / 128), n % 128).await.unwrap();
        count(cell.as_deref());
    }
    // Further contacts of cases stand beside: `<n mod 128>.<contact>`.
    for page in number("first") / 128..=number("end") / 128 {
        let cells: HashMap<String, String> = db.hgetall(format!("{run_key}:ledger:{page}")).await.unwrap();
        cells.iter().filter(|(field, _)| field.contains('.')).for_each(|(_, cell)| count(Some(cell)));
    }
    assert_eq!(counters(&hash, ""), counted, "the counters of the run {run} and its ledger");
    assert_eq!(counted.values().sum::<u64>(), number("total"), "the total of the run {run}");
    counted
}

/// Audits every run of a campaign, and the campaign's totals against their sum.
pub(crate) async fn campaign_audit(db: &mut MultiplexedConnection, campaign: &str) -> Counted {
    let runs: Vec<String> = db.zrange(format!("remesa:{{{campaign}}}:runs"), 0, -1).await.unwrap();
    let mut sum = Counted::new();
    for run in runs {
        for (state, count) in ledger_audit(db, campaign, &run).await {
            *sum.entry(state).or_default() += count;
        }
    }
    let hash: HashMap<String, String> = db.hgetall(format!("remesa:{{{campaign}}}:campaign")).await.unwrap();
    assert_eq!(counters(&hash, "deliveries:"), sum, "the totals of the campaign and its runs");
    order_audit(db, campaign, &hash).await;
    sum
}

/// The campaign's totals of orders against the orders themselves.
async fn order_audit(db: &mut MultiplexedConnection, campaign: &str, hash: &HashMap<String, String>) {
    let end: u64 = hash["next"].parse().unwrap();
    let mut found: BTreeMap<String, u64> = BTreeMap::new();
    for n in 1..end {
        let text: Option<String> = db.get(format!("remesa:{{{campaign}}}:order:{n}")).await.unwrap();
        let order: serde_json::Value = serde_json::from_str(&text.expect("every number has its order")).unwrap();
        *found.entry(order["state"].as_str().unwrap().to_owned()).or_default() += 1;
    }
    let told: BTreeMap<String, u64> = hash
        .iter()
        .filter_map(|(field, count)| Some((field.strip_prefix("orders:")?.to_owned(), count.parse().unwrap())))
        .filter(|(_, count)| *count > 0)
        .collect();
    assert_eq!(told, found, "the campaign's orders by state");
    assert_eq!(hash["orders"], (end - 1).to_string(), "the campaign's number of orders");
}

/// The counters of a hash; negative ones fail.
pub(crate) fn counters(hash: &HashMap<String, String>, prefix: &str) -> Counted {
    STATES
        .iter()
        .filter_map(|(_, state)| {
            let count: u64 = hash.get(&format!("{prefix}{state}"))?.parse().expect("a counter is never negative");
            (count > 0).then_some((*state, count))
        })
        .collect()
}
