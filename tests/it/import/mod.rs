//! import: cases and templates, from every source, again and again.

mod cases;
mod commands;
mod deaths;
mod sources;
mod templates;

use std::collections::BTreeMap;

use redis::AsyncCommands as _;
use serde_json::{Value, json};

use crate::support::scene::{Scene, phone};

/// Rows of cases `1..=count`, each with its own telephone and name.
fn clients(count: usize) -> Vec<Value> {
    (1..=count).map(|n| json!({"id": format!("c-{n}"), "first_name": format!("Ana {n}"), "mobile": phone(n)})).collect()
}

/// A job that imports these rows. Its id is `imp-<campaign>`.
fn import_job(campaign: &str, rows: impl Into<Value>) -> Value {
    let rows = rows.into();
    json!({"id": format!("imp-{campaign}"), "campaign": campaign, "country": "ES", "rows": rows})
}

/// A case as it is stored.
async fn case(scene: &mut Scene, campaign: &str, number: u64) -> Value {
    let text: String = scene.db.get(format!("remesa:{{{campaign}}}:case:{number}")).await.unwrap();
    serde_json::from_str(&text).unwrap()
}

/// Every number up to `cases` has its case, the index leads to it, and the counters of states say what the cases say.
async fn case_audit(scene: &mut Scene, campaign: &str) -> u64 {
    let hash = scene.campaign(campaign).await;
    let count: u64 = hash["cases"].parse().unwrap();
    let mut states: BTreeMap<String, u64> = BTreeMap::new();
    for number in 1..=count {
        let case = case(scene, campaign, number).await;
        assert_eq!(case["number"], number);
        let field = format!("c:{}", case["id"].as_str().unwrap());
        let index = format!("remesa:{{{campaign}}}:index:{}", crc32fast::hash(field.as_bytes()) % 4096);
        assert_eq!(scene.db.hget::<_, _, u64>(index, &field).await.unwrap(), number, "{field}");
        *states.entry(case["state"].as_str().unwrap().to_owned()).or_default() += 1;
    }
    let beyond: bool = scene.db.exists(format!("remesa:{{{campaign}}}:case:{}", count + 1)).await.unwrap();
    assert!(!beyond, "a case beyond the last number");
    let told: BTreeMap<String, u64> = hash
        .iter()
        .filter_map(|(field, count)| Some((field.strip_prefix("cases:")?.to_owned(), count.parse().unwrap())))
        .filter(|(_, count)| *count > 0)
        .collect();
    assert_eq!(told, states, "the campaign's cases by state");
    count
}
