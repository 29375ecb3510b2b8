//! Retention: campaigns come and go, and nothing of them is left but what the contract keeps, and for how long.
//!
//! Rounds of all kinds of work are done and removed while another campaign is being sent. Then every key that is there has
//! a time to live or is one of the few that are for good, and those are as big as after the first rounds. `REMESA_SOAK_ROUNDS`
//! makes it a soak.

use std::collections::BTreeMap;
use std::time::Duration;

use redis::AsyncCommands as _;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::support::ledger::campaign_audit;
use crate::support::provider::counted;
use crate::support::scene::{Scene, people, phone, send_job};
use crate::support::wait;

const ROUNDS: usize = 4;
const ROWS: usize = 200;
/// Orders of the campaign that is being sent all the while.
const LOAD: usize = 1_000;

/// What is not of one campaign and has no end: a few fields each, whatever was sent; beside them a hash for each channel
/// and a stream, empty in the end, for each queue.
const FOR_GOOD: [&str; 8] = ["unsubscribe", "campaigns", "depth", "schema", "scheduled", "secret", "server", "workers"];

/// Capped by bytes, which is another test.
const CAPPED: [&str; 4] = ["results", "rejected", "dead", "audit"];

/// What is in progress leaves this list after a minute without news: looked at in the end.
const ACTIVE: &str = "active";

/// Everything that a campaign can have: orders with refused rows and links, cases, messages once and again and again,
/// receipts, payments, an opt-out link.
async fn round(scene: &mut Scene, campaign: &str) {
    let mut rows = people(ROWS);
    rows[3]["amount"] = "12,x".into();
    let mut job = send_job(campaign, rows);
    (job["category"], job["expires_in"]) = ("commercial".into(), "10m".into());
    scene.run("generate", &job).await;
    let clients: Vec<_> =
        (1..=ROWS).map(|n| json!({"id": format!("c-{n}"), "first_name": "Ana", "mobile": phone(n)})).collect();
    scene
        .run(
            "import",
            &json!({"id": format!("imp-{campaign}"), "campaign": campaign, "country": "ES", "rows": clients}),
        )
        .await;
    let bulk = json!({"id": format!("send-{campaign}"), "message": "m", "campaign": campaign, "channel": "sms",
                      "text": "Hola {{ first_name }}", "contacts": "all", "only_active": true, "close_cases": true});
    scene.run("send", &bulk).await;
    let again = json!({"id": format!("def-{campaign}"), "recurring": "w", "campaign": campaign, "channel": "sms",
                       "every": "1s", "grace": "1h", "max_runs": 2, "audience": "orders", "text": "Otra vez: {{ url }}"});
    scene.run("recurring", &again).await;
    scene.command(json!({"action": "order_event", "campaign": campaign, "order": 1, "event": "paid"})).await;
    scene.finished(campaign).await;
    wait::field(&mut scene.db, &format!("remesa:{{{campaign}}}:recurring:w"), "state", &["stopped"]).await;
    wait::until("every run has ended", async || {
        let runs: Vec<String> = scene.db.zrange(format!("remesa:{{{campaign}}}:runs"), 0, -1).await.unwrap();
        for run in &runs {
            let state: Option<String> =
                scene.db.hget(format!("remesa:{{{campaign}}}:run:{run}"), "state").await.unwrap();
            if state.as_deref() != Some("finished") {
                return None;
            }
        }
        (runs.len() == 4).then_some(())
    })
    .await;
    let before: usize = keys(scene).await.iter().filter(|key| key.contains(&format!("{{{campaign}}}"))).count();
    assert!(before > 2 * ROWS, "{before} keys of {campaign}");
}

async fn keys(scene: &mut Scene) -> Vec<String> {
    let mut keys: Vec<String> = redis::cmd("KEYS").arg("*").query_async(&mut scene.db).await.unwrap();
    keys.sort();
    keys
}

/// Removes what is at rest, as if its time were over: its alarms ring, then it goes.
async fn remove(scene: &mut Scene, campaign: &str) {
    let store = scene.store();
    let removed = store.remove_old_campaigns(Duration::ZERO, &CancellationToken::new()).await.unwrap();
    assert_eq!(removed, 1, "only {campaign} is at rest");
    let alarms: Vec<String> = scene.db.zrange("remesa:scheduled", 0, -1).await.unwrap();
    for alarm in alarms.iter().filter(|alarm| alarm.contains(campaign)) {
        let () = scene.db.zadd("remesa:scheduled", alarm, 1).await.unwrap();
        let () = scene.db.publish("remesa:scheduled", 1).await.unwrap();
    }
    forgotten(scene, "remesa:scheduled", campaign).await;
}

/// Waits until nothing of a campaign is left in a list.
async fn forgotten(scene: &mut Scene, list: &str, campaign: &str) {
    wait::until(&format!("nothing of {campaign} is left in {list}"), async || {
        let waiting: Vec<String> = scene.db.zrange(list, 0, -1).await.unwrap();
        (!waiting.iter().any(|member| member.contains(campaign))).then_some(())
    })
    .await;
}

/// Links to orders, of all campaigns.
async fn links(scene: &mut Scene) -> usize {
    let mut links = 0;
    for key in keys(scene).await.into_iter().filter(|key| key.starts_with("remesa:links:")) {
        links += scene.db.hlen::<_, usize>(key).await.unwrap();
    }
    links
}

/// The bytes of each key that is for good. Every other one but those of `load` has an end.
async fn left(scene: &mut Scene, load: &str) -> BTreeMap<String, u64> {
    let mut sizes = BTreeMap::new();
    for key in keys(scene).await.into_iter().filter(|key| !key.contains(load) && !key.starts_with("test:")) {
        let name = key.strip_prefix("remesa:").expect("a key of ours");
        if CAPPED.contains(&name) || name == ACTIVE || name.starts_with("links:") {
            continue;
        }
        if FOR_GOOD.contains(&name) || name.starts_with("jobs:") || name.starts_with("channel:") {
            let bytes: Option<u64> = redis::cmd("MEMORY")
                .arg("USAGE")
                .arg(&key)
                .arg("SAMPLES")
                .arg(0)
                .query_async(&mut scene.db)
                .await
                .unwrap();
            sizes.insert(name.to_owned(), bytes.unwrap_or(0));
            continue;
        }
        let ttl: i64 = scene.db.pttl(&key).await.unwrap();
        assert!(ttl > 0 || ttl == -2, "{key} has no end");
    }
    sizes
}

#[tokio::test]
async fn nothing_of_a_campaign_outlives_its_retention_and_what_is_for_good_does_not_grow() {
    let rounds = std::env::var("REMESA_SOAK_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(ROUNDS);
    let mut scene = Scene::new().await;
    let settings = std::mem::replace(&mut scene.settings, crate::support::daemon::Settings::new(&scene.redis));
    scene.settings = settings
        .toml(&format!(
            "[channels.slow]\nkind = \"sandbox\"\nurl = \"{}\"\nrate_per_second = 100\n",
            scene.sandbox.url()
        ))
        .set("recurring.min_interval", "1s")
        .set("http.public_url", "https://sms.example");
    let _daemon = scene.daemon().await;
    // Another campaign is being sent all the while; nothing of it may go.
    let load: Vec<_> = (1..=LOAD)
        .map(|n| json!({"key": format!("l-{n}"), "amount": 100, "SMScontact": phone(100_000 + n), "name": "Eva"}))
        .collect();
    let mut job = send_job("load", load);
    job["channel"] = "slow".into();
    scene.run("generate", &job).await;
    let mut first = BTreeMap::new();
    for n in 1..=rounds {
        let campaign = format!("round-{n:06}");
        round(&mut scene, &campaign).await;
        if n == 1 {
            let sent = scene.delivery("load").await;
            assert_eq!(sent["state"], "running", "the load is over too early");
        }
        remove(&mut scene, &campaign).await;
        let sizes = left(&mut scene, "load").await;
        assert!(
            !keys(&mut scene).await.iter().any(|key| key.contains(&campaign) && key.contains(":order:")),
            "{campaign}"
        );
        assert_eq!(links(&mut scene).await, LOAD, "only the load's orders have links");
        if n == 2 {
            first = sizes;
        } else if n > 2 {
            for (key, bytes) in sizes {
                // Sets of numbers and names vary by a few entries of the moment.
                let before = first.get(&key).copied().unwrap_or(0);
                assert!(bytes <= before + 1_024, "{key} has {bytes} bytes after {n} rounds, {before} after two");
            }
        }
    }
    let active: Vec<String> = scene.db.zrange("remesa:active", 0, -1).await.unwrap();
    for member in active.iter().filter(|member| member.starts_with("round-")) {
        let () = scene.db.zadd("remesa:active", member, 1).await.unwrap();
    }
    forgotten(&mut scene, "remesa:active", "round-").await;
    counted(&scene.sandbox, "the load is sent", |stats| stats.counts.recipients >= (LOAD + ROWS - 1) as u64).await;
    scene.finished("load").await;
    assert_eq!(campaign_audit(&mut scene.db, "load").await, [("sent", LOAD as u64)].into());
}
