//! The sift ahead of the claims, at sizes beyond one stretch.

use serde_json::{Value, json};

use super::{event, mobile, outcome, person, put_cases, send, texts};
use crate::support::daemon::Daemon;
use crate::support::ledger::campaign_audit;
use crate::support::scene::{Scene, phone};

#[tokio::test]
async fn several_stretches_are_sifted_by_two_daemons_and_each_case_is_judged_once() {
    let mut scene = Scene::new().await;
    let _daemons = [scene.daemon().await, Daemon::start(&scene.settings.instance("two")).await];
    let cases: Vec<Value> = (1..=7_000)
        .map(|n| {
            let mut case = person(n);
            if n % 7 != 0 {
                (case["state"], case["closed_at"], case["closed_reason"]) =
                    ("closed".into(), 1.into(), "import".into());
            } else if n % 2 == 0 {
                case["contacts"] = json!([mobile(n, 1), mobile(n + 100_000, 1)]);
            }
            case
        })
        .collect();
    put_cases(&mut scene, "c", &cases).await;
    let run = send(&mut scene, "c", &json!({"only_active": true, "contacts": "all"})).await;
    assert_eq!((run["total"].as_str(), run["left_out"].as_str()), ("7500", "6000"));
    assert_eq!(campaign_audit(&mut scene.db, "c").await, [("sent", 1500), ("skipped", 6000)].into());
    let counts = scene.sandbox.stats().counts;
    assert_eq!((counts.accepted, counts.recipients, counts.repeated_recipients), (1500, 1500, 0));
}

#[tokio::test]
async fn bm_20_only_cases_that_meet_the_filter_get_the_message_and_the_others_say_why() {
    let mut scene = Scene::new().await;
    let _daemon = scene.daemon().await;
    let cases: Vec<Value> = (1..=2_500)
        .map(|n| {
            let mut case = person(n);
            case["client"]["labels"] = if n % 500 == 0 { json!(["VIP", "norte"]) } else { json!(["norte"]) };
            case["client"]["birth_date"] = json!(if n < 2_000 { "1985-03-01" } else { "2001-12-31" });
            case
        })
        .collect();
    put_cases(&mut scene, "c", &cases).await;
    let filter = json!({
        "all": [{"column": "labels", "operator": "contains", "value": "vip"}],
        "any": [{"column": "birth_date", "operator": "less", "value": "1990-01-01"},
                {"column": "id", "operator": "equals", "value": "c-2500"}],
    });
    let run = send(&mut scene, "c", &json!({"filter": filter})).await;
    assert_eq!((run["sent"].as_str(), run["left_out"].as_str()), ("4", "2496"));
    for (n, sent) in [(500, 1), (1_000, 1), (1_500, 1), (2_000, 0), (2_500, 1), (1, 0)] {
        assert_eq!(texts(&scene, &phone(n)).len(), sent, "case {n}");
    }
    assert_eq!(outcome(&mut scene, "c", "1").await, ("k".into(), 0, "filtered".into()));
    let ended = event(&mut scene, "run", |event| event["state"] == "finished").await;
    assert_eq!((&ended["total"], &ended["matched"]), (&2500.into(), &4.into()));
    assert_eq!(campaign_audit(&mut scene.db, "c").await, [("sent", 4), ("skipped", 2496)].into());
}
