//! The producer's id: what is the same job, what is a conflict, when the id is free, who takes a lost job over.

use redis::AsyncCommands as _;
use serde_json::json;

use super::{Pending, Stage, endless, from_file, generate, incarnation, named, with};
use crate::support::daemon::Daemon;

#[tokio::test]
async fn the_same_id_and_job_again_is_answered_by_the_first_outcome() {
    let mut stage = Stage::plain().await;
    let first = stage.add("generate", r#"{"id":"a","campaign":"c","currency":"EUR","rows":[{"amount":1250}]}"#).await;
    // Equal JSON in another order and with blanks, before and after the first one's end.
    let again = r#"{ "rows": [ {"amount": 1250} ], "currency": "EUR", "campaign": "c", "id": "a" }"#;
    let second = stage.add("generate", again).await;
    let _daemon = Daemon::start(&stage.settings).await;
    stage.job("a", &["done"]).await;
    stage.add("generate", again).await;
    stage.drained("generate").await;

    let job = stage.job("a", &["done"]).await;
    // Read together, either of the two that waited may have come first.
    assert!([first, second].iter().any(|entry| job["entry"] == format!("generate:{entry}")), "{job:?}");
    assert_eq!(stage.announced().await, [(("a".into(), "done".into()), 1)].into());
    assert_eq!(stage.orders("c").await, 1);
    assert!(stage.letters("rejected").await.is_empty());
}

#[tokio::test]
async fn the_same_id_with_another_job_is_a_conflict_and_leaves_the_first_alone() {
    let mut stage = Stage::plain().await;
    let _daemon = Daemon::start(&stage.settings).await;
    stage.add_json("generate", &named("a", "c")).await;
    let before = stage.job("a", &["done"]).await;
    let other = stage.add_json("generate", &named("a", "d")).await;
    let in_control = stage.add_json("control", &json!({"id": "a", "action": "pause", "campaign": "c"})).await;

    for entry in [format!("generate:{other}"), format!("control:{in_control}")] {
        let refused = stage.job(&entry, &["rejected"]).await;
        assert_eq!(refused["error_code"], "id_conflict");
        assert!(refused["error"].contains("\"a\""), "{}", refused["error"]);
    }
    assert_eq!(stage.job("a", &["done"]).await, before);
    assert_eq!(stage.orders("d").await, 0);
    let letters = stage.letters("rejected").await;
    assert_eq!(letters.iter().map(|letter| letter["code"].as_str()).collect::<Vec<_>>(), ["id_conflict"; 2]);
}

#[tokio::test]
async fn a_rejected_id_is_free() {
    let mut stage = Stage::plain().await;
    let _daemon = Daemon::start(&stage.settings).await;
    // Refused by decoding, and refused by the handler after the id was accepted.
    for wrong in [with(named("a", "c"), "curency", "EUR"), with(named("a", "c"), "payment_point", "nowhere")] {
        stage.add_json("generate", &wrong).await;
        stage.drained("generate").await;
        assert_eq!(stage.job("a", &["rejected"]).await["queue"], "generate");
    }
    stage.add_json("generate", &named("a", "c")).await;
    let done = stage.job("a", &["done"]).await;
    assert!(!done.contains_key("error_code"), "{done:?}");
    assert_eq!(stage.orders("c").await, 1);
}

#[tokio::test]
async fn a_job_without_an_id_is_called_by_its_entry_and_never_deduplicated() {
    let mut stage = Stage::plain().await;
    let first = stage.add_json("generate", &generate("c", 1)).await;
    let second = stage.add_json("generate", &generate("c", 1)).await;
    let _daemon = Daemon::start(&stage.settings.instance("one")).await;
    let states = [first, second].map(|entry| format!("generate:{entry}"));
    let mut ends = Vec::new();
    for id in states {
        ends.push(stage.job(&id, &["done", "rejected"]).await["state"].clone());
    }
    ends.sort();
    assert_eq!(ends, ["done", "rejected"], "both ran, and one campaign has one generate job");
    assert_eq!(stage.letters("rejected").await[0]["code"], "campaign_exists");
}

#[tokio::test]
async fn a_dead_job_holds_its_id_until_it_is_replayed_and_goes_on_where_it_was() {
    const ROWS: usize = 3_000;
    let keys = [("jobs.max_attempts", "2"), ("jobs.retry_base", "10ms"), ("sources.slice_rows", "5")];
    let mut stage = Stage::set(&keys).await;
    stage.spool_rows("dues.csv", ROWS);
    let job = from_file("a", "c", "dues.csv");
    let mut first = Daemon::start(&stage.settings).await;
    stage.add_json("generate", &job).await;
    stage.orders_from("c", 1).await;
    first.kill();
    let made = stage.orders("c").await;
    assert!(made < ROWS, "it was over too early");
    std::fs::remove_file(stage.settings.spool_dir().join("dues.csv")).unwrap();

    let _second = Daemon::start(&stage.settings).await;
    let dead = stage.job("a", &["dead"]).await;
    assert_eq!((dead["error_code"].as_str(), dead["attempt"].as_str()), ("attempts_exhausted", "2"));
    stage.spool_rows("dues.csv", ROWS);
    stage.add_json("generate", &job).await;
    stage.drained("generate").await;
    assert_eq!(stage.job("a", &["dead"]).await, dead, "the outcome of the first is the answer");

    let letter = stage.letters("dead").await.remove(0);
    assert_eq!((letter["id"].as_str(), letter["code"].as_str()), ("a", "attempts_exhausted"));
    assert_eq!(letter["job"], job.to_string());
    let store = stage.store();
    store.forget_job("a").await.unwrap();
    store.add_job("generate", letter["job"].as_bytes()).await.unwrap();
    assert_eq!(stage.job("a", &["done"]).await["attempt"], "1");
    // Numbers that the killed daemon gave and never used are left out; each row has its order all the same.
    assert_eq!(stage.orders("c").await, ROWS);
    let keys: Vec<String> = stage.connection.keys("remesa:{c}:order:*").await.unwrap();
    assert_eq!(keys.len(), ROWS);
}

#[tokio::test]
async fn a_job_whose_entry_a_failover_lost_is_adopted_by_the_next_entry_with_its_id() {
    let mut stage = Stage::plain().await;
    stage.spool_endless();
    let lost = stage.add_json("generate", &endless("a", "c")).await;
    let mut daemon = Daemon::start(&stage.settings).await;
    assert_eq!(stage.job("a", &["running"]).await["entry"], format!("generate:{lost}"));
    daemon.kill();
    let () = stage.connection.del("remesa:jobs:generate").await.unwrap();
    stage.settings.spool("endless.csv", "amount\n1\n2\n");

    let next = stage.add_json("generate", &endless("a", "c")).await;
    let _daemon = Daemon::start(&stage.settings).await;
    assert_eq!(stage.job("a", &["done"]).await["entry"], format!("generate:{next}"));
    assert_eq!(stage.orders("c").await, 2);
    stage.drained("generate").await;
}

#[tokio::test]
async fn an_entry_with_the_id_of_a_running_job_is_absorbed_and_does_not_run_it_twice() {
    let mut stage = Stage::set(&[("queues.permits_generate", "1")]).await;
    stage.spool_endless();
    let first = stage.add_json("generate", &endless("a", "c")).await;
    let one = Daemon::start(&stage.settings.instance("one")).await;
    stage.job("a", &["running"]).await;
    let _other = Daemon::start(&stage.settings.instance("two")).await;
    stage.add_json("generate", &endless("a", "c")).await;
    let me = incarnation(&one).await;
    stage.left("generate", 1).await;
    let pending = stage.pending("generate").await;
    assert_eq!(pending, [Pending { entry: first.clone(), consumer: me, deliveries: 1 }]);
    assert_eq!(stage.job("a", &["running"]).await["entry"], format!("generate:{first}"));
}
