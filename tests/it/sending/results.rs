//! The results stream: every final outcome has exactly one event id, published at least once.

use std::collections::{BTreeMap, BTreeSet};

use redis::AsyncCommands as _;
use redis::streams::StreamRangeReply;
use remesa::sandbox::Fate;
use serde_json::{Value, json};

use crate::support::ledger::campaign_audit;
use crate::support::scene::{Scene, people, phone, send_job};
use crate::support::wait;

/// All events so far, in order, as `(id, type, data)`.
async fn events(scene: &mut Scene) -> Vec<(String, String, Value)> {
    let stream: StreamRangeReply = scene.db.xrange_all("remesa:results").await.unwrap();
    let field = |entry: &redis::streams::StreamId, name: &str| entry.get::<String>(name).unwrap();
    stream
        .ids
        .iter()
        .map(|entry| {
            let data: Value = serde_json::from_str(&field(entry, "data")).unwrap();
            assert_eq!(
                (data["event"].as_str(), data["type"].as_str()),
                (Some(field(entry, "event").as_str()), Some(field(entry, "type").as_str()))
            );
            (field(entry, "event"), field(entry, "type"), data)
        })
        .collect()
}

/// Waits until every outbox is empty: all that was written is published.
async fn all_published(scene: &mut Scene, campaign: &str) {
    let outbox = format!("remesa:{{{campaign}}}:outbox");
    wait::until("the outbox is empty", async || (scene.db.xlen::<_, u64>(&outbox).await.unwrap() == 0).then_some(()))
        .await;
}

#[tokio::test]
async fn every_final_outcome_has_one_event_that_says_what_the_ledger_says() {
    let mut scene = Scene::with("retry_base = \"20ms\"\n", |sandbox| {
        for (n, fate) in [(2, Fate::Refuse), (3, Fate::Cut)] {
            sandbox.recipients.insert(phone(n), fate);
        }
    })
    .await;
    let _daemon = scene.daemon().await;
    let mut rows = people(100);
    rows[3]["SMScontact"] = "nobody".into();
    scene.run("generate", &send_job("c", rows)).await;
    scene.campaign_is("c", "delivered").await;
    all_published(&mut scene, "c").await;
    let mut by_order: BTreeMap<u64, Vec<Value>> = BTreeMap::new();
    for (_, _, data) in events(&mut scene).await.into_iter().filter(|(_, kind, _)| kind == "delivery") {
        by_order.entry(data["order"].as_u64().unwrap()).or_default().push(data);
    }
    assert_eq!(by_order.keys().copied().collect::<Vec<_>>(), (1..=100).collect::<Vec<_>>());
    for (n, told) in by_order {
        assert_eq!(told.len(), 1, "{told:?}");
        let (letter, attempt, reason) = scene.outcome("c", n).await;
        let told = &told[0];
        assert_eq!(
            told["state"].as_str().unwrap().chars().next(),
            match letter.as_str() {
                "k" => Some('s'),
                "n" => Some('u'),
                other => other.chars().next(),
            }
        );
        assert_eq!(
            (told["attempt"].as_u64(), told["key"].as_str()),
            (Some(attempt.into()), Some(format!("k-{n}").as_str()))
        );
        assert_eq!(told.get("reason").and_then(Value::as_str).unwrap_or_default(), reason);
        assert_eq!(told["reference"], format!("A-{n}"));
    }
    // DA-9: a masked contact, never the number.
    let all = serde_json::to_string(&events(&mut scene).await.into_iter().map(|(_, _, data)| data).collect::<Vec<_>>())
        .unwrap();
    assert!(!all.contains(&phone(1)) && all.contains("+34******001"), "{all}");
    campaign_audit(&mut scene.db, "c").await;
}

#[tokio::test]
async fn the_story_of_a_campaign_is_told_in_order() {
    let mut scene = Scene::new().await;
    let _daemon = scene.daemon().await;
    scene.run("generate", &send_job("c", people(3))).await;
    scene.campaign_is("c", "delivered").await;
    all_published(&mut scene, "c").await;
    scene.run("generate", &json!({"id": "none", "campaign": "d", "currency": "EUR", "rows": [{"amount": 1}]})).await;
    all_published(&mut scene, "d").await;
    let told: Vec<String> = events(&mut scene)
        .await
        .into_iter()
        .filter(|(_, kind, _)| kind != "delivery")
        .map(|(_, kind, data)| {
            format!("{kind} {} {}", data["campaign"].as_str().unwrap(), data["state"].as_str().unwrap())
        })
        .collect();
    let of = |campaign: &str| {
        told.iter().filter(|told| told.contains(&format!(" {campaign} "))).cloned().collect::<Vec<_>>()
    };
    let first = of("c");
    assert_eq!(first[0], "orders c available", "{first:?}");
    let at = |what: &str| first.iter().position(|told| told == what).unwrap_or_else(|| panic!("{what} in {first:?}"));
    assert!(
        at("run c running") < at("run c finished") && at("run c finished") < at("campaign c delivered"),
        "{first:?}"
    );
    assert!(first.contains(&"job c done".to_owned()), "{first:?}");
    assert_eq!(of("d"), ["orders d available", "campaign d generated", "job d done"]);
}

#[tokio::test]
async fn a_retried_recipient_has_a_new_event_for_its_new_outcome() {
    let mut scene = Scene::with("", |sandbox| sandbox.refuse_per_mille = 1000).await;
    let _daemon = scene.daemon().await;
    scene.run("generate", &send_job("c", people(1))).await;
    scene.finished("c").await;
    scene.sandbox.change(|settings| settings.refuse_per_mille = 0).unwrap();
    scene.command(json!({"action": "retry", "campaign": "c", "run": "delivery@1", "states": "failed"})).await;
    scene.finished("c").await;
    all_published(&mut scene, "c").await;
    let told: Vec<String> =
        events(&mut scene).await.into_iter().filter(|(_, kind, _)| kind == "delivery").map(|(id, _, _)| id).collect();
    assert_eq!(told, ["c/delivery@1/1.0/1/failed", "c/delivery@1/1.0/2/sent"]);
    let all: Vec<String> = events(&mut scene).await.into_iter().map(|(id, _, _)| id).collect();
    assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len(), "{all:?}");
}
