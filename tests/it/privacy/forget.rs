//! `forget`, place by place: what goes, what stays, what is told, and that it ends once whatever happens meanwhile.

use redis::AsyncCommands as _;
use serde_json::{Value, json};

use crate::support::ledger::campaign_audit;
use crate::support::provider::counted;
use crate::support::scene::{Scene, generate_job, people, phone, run_key, send_job};
use crate::support::{grep, wait};

/// The national digits of row `number` of [`people`].
fn digits(number: usize) -> String {
    phone(number)["+34".len()..].to_owned()
}

async fn forget(scene: &mut Scene, number: usize) -> Value {
    scene.command(json!({"action": "forget", "contact": phone(number)})).await
}

#[tokio::test]
async fn da_9_a_forgotten_persons_order_keeps_what_counts_and_nothing_else() {
    let mut scene = Scene::new().await;
    let _daemon = scene.daemon().await;
    for campaign in ["a", "b"] {
        scene.send(campaign, 5).await;
        scene.campaign_is(campaign, "delivered").await;
    }
    let before = scene.order("a", 3).await;
    let note = forget(&mut scene, 3).await;
    assert_eq!(note["erased"]["orders"], 2, "{note}");
    assert_eq!(note["erased"]["deliveries"], 2);
    assert_eq!(note["left"]["in_flight"], 0);
    let after = scene.order("a", 3).await;
    for field in ["state", "amount", "number", "short_code", "created_at", "expires_at", "key"] {
        assert_eq!(after[field], before[field], "{field}");
    }
    for field in ["contact", "vars", "reference", "concept"] {
        assert_eq!(after.get(field), None, "{field}");
    }
    assert!(after["forgotten_at"].is_number());
    assert!(
        scene.cell("a", 3).await.unwrap().ends_with(",,"),
        "the provider's id went: {:?}",
        scene.cell("a", 3).await
    );
    assert!(!scene.cell("a", 2).await.unwrap().ends_with(','), "others keep theirs");
    assert_eq!(scene.order("a", 2).await["contact"], phone(2));
    assert_eq!(campaign_audit(&mut scene.db, "a").await, [("sent", 5)].into());
    assert_eq!(grep::redis(&mut scene.db, &digits(3)).await, Vec::<String>::new());
    // Other systems are told, so that they forget too.
    let mut reader = scene.redis.connect().await;
    let event = wait::entry_where(&mut reader, "remesa:results", |entry| {
        entry.get::<String>("data").unwrap().contains("\"forgotten\":true")
    })
    .await;
    assert_eq!(event.get::<String>("event").unwrap(), "b/3/forgotten");
}

#[tokio::test]
async fn what_still_waits_is_skipped_as_forgotten_with_its_counters() {
    let mut scene = Scene::with("in_flight = 1\nslots = 1\n", |sandbox| sandbox.hold = true).await;
    let _daemon = scene.daemon().await;
    scene.run("generate", &send_job("c", people(300))).await;
    counted(&scene.sandbox, "one in flight", |stats| stats.in_flight == 1).await;
    // Ahead of the cursor, at the page's edge, and the last one.
    for number in [50, 127, 128, 300] {
        let note = forget(&mut scene, number).await;
        assert_eq!(note["erased"]["deliveries_skipped"], 1, "{note}");
        campaign_audit(&mut scene.db, "c").await;
    }
    assert_eq!(scene.outcome("c", 128).await, ("k".to_owned(), 0, "forgotten".to_owned()));
    assert_eq!(scene.delivery("c").await["skipped"], "4");
    scene.sandbox.change(|settings| settings.hold = false).unwrap();
    scene.campaign_is("c", "delivered").await;
    assert_eq!(campaign_audit(&mut scene.db, "c").await, [("sent", 296), ("skipped", 4)].into());
    assert_eq!(scene.sandbox.stats().counts.accepted, 296);
    assert_eq!(scene.outcome("c", 300).await, ("k".to_owned(), 0, "forgotten".to_owned()));
}

#[tokio::test]
async fn a_run_whose_last_recipient_is_forgotten_is_finished() {
    let mut scene = Scene::new().await;
    let _daemon = scene.daemon().await;
    scene.command(json!({"action": "pause", "channel": "sms"})).await;
    scene.run("generate", &send_job("c", people(1))).await;
    forget(&mut scene, 1).await;
    assert_eq!(scene.delivery("c").await["state"], "finished");
    scene.campaign_is("c", "delivered").await;
    assert_eq!(campaign_audit(&mut scene.db, "c").await, [("skipped", 1)].into());
}

#[tokio::test]
async fn a_message_in_flight_ends_as_it_does_and_is_looked_at_again() {
    let mut scene = Scene::with("", |sandbox| sandbox.hold = true).await;
    let _daemon = scene.daemon().await;
    scene.run("generate", &send_job("c", people(1))).await;
    counted(&scene.sandbox, "one in flight", |stats| stats.in_flight == 1).await;
    scene.enqueue("control", &json!({"id": "f", "action": "forget", "contact": phone(1)})).await;
    wait::until("the order is forgotten", async || scene.order("c", 1).await.get("forgotten_at").cloned()).await;
    assert_eq!(scene.outcome("c", 1).await.0, "c");
    scene.sandbox.change(|settings| settings.hold = false).unwrap();
    let note = scene.done("f").await;
    assert_eq!(note["left"]["in_flight"], 0, "{note}");
    assert_eq!(scene.cell("c", 1).await.unwrap().split(',').collect::<Vec<_>>()[3..], ["", ""]);
    assert_eq!(campaign_audit(&mut scene.db, "c").await, [("sent", 1)].into());
}

#[tokio::test]
async fn a_failed_delivery_of_a_forgotten_person_is_skipped_when_it_is_tried_again() {
    let mut scene = Scene::with("", |sandbox| {
        sandbox.recipients.insert(phone(1), remesa::sandbox::Fate::Refuse);
    })
    .await;
    let _daemon = scene.daemon().await;
    scene.run("generate", &send_job("c", people(2))).await;
    scene.campaign_is("c", "delivered").await;
    forget(&mut scene, 1).await;
    scene.command(json!({"action": "retry", "campaign": "c", "run": "delivery@1", "states": "failed"})).await;
    scene.finished("c").await;
    assert_eq!(scene.outcome("c", 1).await, ("k".to_owned(), 2, "forgotten".to_owned()));
}

#[tokio::test]
async fn an_order_that_is_named_tells_the_person_and_its_number_is_forgotten_everywhere() {
    let mut scene = Scene::new().await;
    let _daemon = scene.daemon().await;
    for campaign in ["a", "b"] {
        scene.run("generate", &generate_job(campaign, people(2))).await;
    }
    let note = scene.command(json!({"action": "forget", "campaign": "a", "key": "k-2"})).await;
    assert_eq!((&note["erased"]["orders"], &note["order"]), (&json!(2), &json!("a/2")), "{note}");
    assert_eq!(grep::redis(&mut scene.db, &digits(2)).await, Vec::<String>::new());
    // Of a row without a number there is nothing to look for: the order alone is forgotten.
    let rows = json!([{"key": "x", "amount": 5, "reference": "R", "name": "Eva", "SMScontact": "none"}]);
    scene.run("generate", &generate_job("c", rows)).await;
    let note = scene.command(json!({"action": "forget", "campaign": "c", "order": 1})).await;
    assert_eq!((&note["erased"]["orders"], &note["person"]), (&json!(1), &Value::Null));
    assert_eq!(scene.order("c", 1).await.get("vars"), None);
    let missing = scene.command_refused(json!({"action": "forget", "campaign": "c", "order": 9})).await;
    assert_eq!(missing.0, "unknown_order");
}

#[tokio::test]
async fn a_key_that_holds_the_number_is_replaced_in_order_index_and_events() {
    let mut scene = Scene::new().await;
    let _daemon = scene.daemon().await;
    let mut rows = people(2);
    rows[0]["key"] = phone(1).into();
    rows[1]["guardian"] = phone(1).into();
    scene.run("generate", &send_job("c", rows)).await;
    scene.campaign_is("c", "delivered").await;
    let note = forget(&mut scene, 1).await;
    assert_eq!((&note["erased"]["orders"], &note["erased"]["mentions"]), (&json!(1), &json!(1)), "{note}");
    assert_eq!(scene.order("c", 1).await["key"], "forgotten:1");
    let other = scene.order("c", 2).await;
    assert_eq!((&other["contact"], &other["vars"]), (&json!(phone(2)), &json!({"name": "Ana 2"})));
    assert_eq!(grep::redis(&mut scene.db, &digits(1)).await, Vec::<String>::new());
    let paid = json!({"action": "order_event", "campaign": "c", "key": "forgotten:1", "event": "paid"});
    assert_eq!(scene.command(paid).await["state"], "paid");
}

#[tokio::test]
async fn a_row_of_a_job_that_waits_for_its_time_is_refused_as_forgotten_and_the_others_go_on() {
    let mut scene = Scene::new().await;
    let _daemon = scene.daemon().await;
    let at = scene.now_ms().await + 3_000;
    let mut job = send_job("c", people(3));
    job["delivery"] = json!({"at": at});
    scene.enqueue("generate", &job).await;
    wait::field(&mut scene.db, "remesa:job:gen-c", "state", &["scheduled"]).await;
    let note = forget(&mut scene, 2).await;
    assert_eq!((&note["erased"]["jobs"], &note["erased"]["job_rows"]), (&json!(1), &json!(1)), "{note}");
    let result = scene.done("gen-c").await;
    assert_eq!(result["refused_by_code"], json!({"forgotten": 1}), "{result}");
    scene.campaign_is("c", "delivered").await;
    assert_eq!(scene.sandbox.stats().counts.accepted, 2);
    assert_eq!(grep::redis(&mut scene.db, &digits(2)).await, Vec::<String>::new());
}

#[tokio::test]
async fn the_note_names_nobody_and_a_second_walk_finds_nothing() {
    let mut scene = Scene::new().await;
    let _daemon = scene.daemon().await;
    scene.run("generate", &generate_job("c", people(2))).await;
    let first = forget(&mut scene, 1).await;
    let second = forget(&mut scene, 1).await;
    assert_eq!(first["person"], second["person"]);
    assert_eq!(second["erased"], json!({}));
    let notes: Vec<String> = scene.db.zrange("remesa:forgotten", 0, -1).await.unwrap();
    assert_eq!(notes.len(), 2);
    let told: Value = serde_json::from_str(&notes[0]).unwrap();
    assert_eq!((&told["job"], &told["erased"]["orders"]), (&json!("command-1"), &json!(1)));
    assert_ne!(forget(&mut scene, 2).await["person"], first["person"]);
}

#[tokio::test]
async fn a_forget_that_is_refused_or_dead_keeps_nothing_of_the_person() {
    let mut scene = Scene::new().await;
    let _daemon = scene.daemon().await;
    for (id, job) in [
        ("f-1", json!({"action": "forget", "contact": "+34600000001", "run": "x"})),
        ("f-2", json!({"action": "forget", "contact": "+34600000001", "campaign": "c"})),
        ("f-3", json!({"action": "forget", "contact": "+3460000000199"})),
        ("f-4", json!({"action": "forget", "contact": "+34600000001", "oops": 1})),
        ("f-5", json!({"action": "forget", "contact": "+34600000001", "not_after": 1_000_000_000_000_i64})),
    ] {
        let mut job = job;
        job["id"] = id.into();
        scene.enqueue("control", &job).await;
        scene.refused(id).await;
    }
    assert_eq!(grep::redis(&mut scene.db, "600000001").await, Vec::<String>::new());
    assert_eq!(grep::redis(&mut scene.db, "6000000019").await, Vec::<String>::new());
    let letters: redis::streams::StreamRangeReply = scene.db.xrange_all("remesa:rejected").await.unwrap();
    assert_eq!(letters.ids.len(), 5);
}

#[tokio::test]
async fn a_daemon_killed_while_it_forgets_goes_on_and_counts_each_order_once() {
    const ROWS: usize = 6_000;
    let mut scene = Scene::new().await;
    let rows = "SMScontact,amount,key\n".to_owned()
        + &(1..=ROWS)
            .map(|n| format!("{},1,k-{n}\n", if n % 3 == 0 { phone(7) } else { phone(n + 9) }))
            .collect::<Vec<_>>()
            .concat();
    scene.settings.spool("c.csv", rows);
    scene.settings.spool("damaged.csv.gz", [0x1f, 0x8b, 8, 0]);
    let mut daemon = scene.daemon().await;
    let job = json!({"id": "gen", "campaign": "c", "currency": "EUR", "rows_from": {"file": "c.csv"}});
    scene.run("generate", &job).await;
    scene.enqueue("control", &json!({"id": "f", "action": "forget", "contact": phone(7)})).await;
    for killed_at in [200, 700, 1_300] {
        wait::until("some orders are forgotten", async || {
            let kept: Option<String> = scene.db.get("remesa:forget:f").await.unwrap();
            let erased = serde_json::from_str::<Value>(&kept?).ok()?["erased"]["orders"].as_u64().unwrap_or(0);
            (erased >= killed_at).then_some(())
        })
        .await;
        daemon.kill();
        daemon = scene.daemon().await;
    }
    let note = scene.done("f").await;
    assert_eq!(note["erased"]["orders"], ROWS / 3, "{note}");
    assert_eq!(note["left"]["source_files"], json!(["c.csv"]));
    assert_eq!(note["left"]["unreadable_files"], json!(["damaged.csv.gz"]), "what cannot be read is told");
    let contacts = grep::redis(&mut scene.db, &digits(7)).await;
    assert_eq!(contacts, Vec::<String>::new());
    campaign_audit(&mut scene.db, "c").await;
    assert_eq!(run_key("c"), "remesa:{c}:run:delivery@1");
}

#[tokio::test]
async fn a_pause_does_not_wait_for_a_long_walk() {
    let mut scene = Scene::new().await;
    scene.settings = scene.settings.instance("default-2").set("queues.permits_control", "1");
    let _daemon = scene.daemon().await;
    scene.run("generate", &send_job("c", people(1))).await;
    // A walk that must wait for what is in flight gives its permit back each time.
    let forged = format!("c,1,{},9,1", scene.now_ms().await);
    scene.campaign_is("c", "delivered").await;
    let () = scene.db.hset(format!("{}:ledger:0", run_key("c")), 1, forged).await.unwrap();
    scene.enqueue("control", &json!({"id": "f", "action": "forget", "contact": phone(1)})).await;
    wait::until("the walk waits", async || {
        let kept: Option<String> = scene.db.get("remesa:forget:f").await.unwrap();
        serde_json::from_str::<Value>(&kept?).ok()?["waits_since"].as_i64()
    })
    .await;
    scene.command(json!({"action": "pause", "channel": "sms"})).await;
    let state: String = scene.db.hget("remesa:job:f", "state").await.unwrap();
    assert_ne!(state, "done");
}
