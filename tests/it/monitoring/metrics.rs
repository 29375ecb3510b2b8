//! The metrics of a daemon at work: they count what happens, and grow with nothing but the configuration.

use std::collections::BTreeSet;

use serde_json::json;

use crate::support::daemon::Daemon;
use crate::support::http::{get, metrics_where, value};
use crate::support::provider::counted;
use crate::support::scene::{Scene, generate_job, people, phone, send_job};

/// Every series, without its value.
fn series(metrics: &str) -> BTreeSet<String> {
    let samples = metrics.lines().filter(|line| !line.starts_with('#'));
    samples.map(|line| line.rsplit_once(' ').unwrap().0.to_owned()).collect()
}

#[tokio::test]
async fn a_scrape_is_as_long_with_forty_campaigns_as_with_one_and_names_none_of_them() {
    let mut scene = Scene::new().await;
    let daemon = scene.daemon().await;
    let address = daemon.http().await;
    let after = async |scene: &mut Scene, campaigns: std::ops::Range<usize>| {
        for n in campaigns.clone() {
            scene.run("generate", &send_job(&format!("camp-{n}"), people(2))).await;
            scene.campaign_is(&format!("camp-{n}"), "delivered").await;
        }
        let sent = format!("remesa_deliveries_total{{channel=\"sms\",state=\"sent\"}} {}\n", campaigns.end * 2);
        metrics_where(address, "everything is counted", |metrics| {
            // An idle reader holds all permits while it waits, and they are free all the same.
            let free = value(metrics, "remesa_queue_permits_free{queue=\"generate\"}");
            metrics.contains(&sent) && metrics.contains("remesa_queue_depth") && free == Some(2.0)
        })
        .await
    };
    let one = after(&mut scene, 0..1).await;
    let forty = after(&mut scene, 1..40).await;
    assert_eq!(series(&one), series(&forty));
    for secret in ["camp-", "gen-", "127.0.0.1", &phone(1), "delivery@1"] {
        assert!(!forty.contains(secret), "{secret} in {forty}");
    }
    assert_eq!(value(&forty, "remesa_jobs_total{queue=\"generate\",state=\"done\"}"), Some(40.0));
    assert_eq!(value(&forty, "remesa_job_wait_seconds_count{queue=\"generate\"}"), Some(40.0));
    assert_eq!(value(&forty, "remesa_job_seconds_count{queue=\"generate\"}"), Some(40.0));
    assert!(value(&forty, "remesa_job_seconds_count{queue=\"batch:sms\"}").unwrap() >= 40.0);
    assert_eq!(value(&forty, "remesa_provider_seconds_count{channel=\"sms\"}"), Some(80.0));
    assert_eq!((value(&forty, "remesa_redis_up"), value(&forty, "remesa_ready")), (Some(1.0), Some(1.0)));
}

#[tokio::test]
async fn what_waits_is_shown_with_what_it_waits_for() {
    let mut scene = Scene::with("in_flight = 4\nrate_per_second = 10\n", |sandbox| sandbox.hold = true).await;
    let daemon = scene.daemon().await;
    let address = daemon.http().await;
    let waiting = |why: &str| format!("remesa_channel_recipients_waiting{{channel=\"sms\",why=\"{why}\"}}");
    scene.enqueue("generate", &send_job("one", people(20))).await;
    scene.enqueue("generate", &send_job("two", people(10))).await;
    counted(&scene.sandbox, "all permits are used", |stats| stats.in_flight == 4).await;
    let shown =
        metrics_where(address, "they wait for their turn", |metrics| value(metrics, &waiting("turn")) == Some(26.0))
            .await;
    assert_eq!(value(&shown, "remesa_in_flight{channel=\"sms\"}"), Some(4.0));
    assert_eq!(value(&shown, "remesa_channel_rate_limit{channel=\"sms\"}"), Some(10.0));
    let parts = value(&shown, "remesa_channel_parts_waiting{channel=\"sms\"}").unwrap();
    let seconds = value(&shown, "remesa_channel_drain_seconds{channel=\"sms\"}").unwrap();
    assert!(parts >= 26.0 && (parts / 10.0 - seconds).abs() < 1.0, "{parts} {seconds}");
    // One campaign is paused, and then the channel.
    scene.command(json!({"action": "pause", "campaign": "two"})).await;
    metrics_where(address, "ten wait for a resume", |metrics| {
        let [turn, resume] = ["turn", "resume"].map(|why| value(metrics, &waiting(why)).unwrap_or_default());
        resume > 0.0 && Some(turn + resume) == Some(26.0)
    })
    .await;
    scene.command(json!({"action": "pause", "channel": "sms"})).await;
    metrics_where(address, "the channel is shown as paused, and for how long", |metrics| {
        value(metrics, "remesa_channel_state{channel=\"sms\",state=\"paused\"}") == Some(1.0)
            && value(metrics, "remesa_channel_state{channel=\"sms\",state=\"open\"}") == Some(0.0)
            && value(metrics, "remesa_channel_held_seconds_total{channel=\"sms\",why=\"paused\"}") > Some(0.0)
    })
    .await;
    scene.sandbox.change(|settings| settings.hold = false).unwrap();
}

#[tokio::test]
async fn failures_are_counted_by_class_and_time_lost_to_throttling_is_summed() {
    let mut scene = Scene::with("retry_attempts = 2\nretry_base = \"10ms\"\n", |sandbox| {
        sandbox.recipients.insert(phone(1), remesa::sandbox::Fate::Refuse);
        sandbox.recipients.insert(phone(2), remesa::sandbox::Fate::Fail);
    })
    .await;
    let daemon = scene.daemon().await;
    scene.run("generate", &send_job("c", people(3))).await;
    scene.campaign_is("c", "delivered").await;
    let address = daemon.http().await;
    let shown = metrics_where(address, "each outcome is counted", |metrics| {
        let ended = |state| value(metrics, &format!("remesa_deliveries_total{{channel=\"sms\",state=\"{state}\"}}"));
        ["failed", "unknown", "sent"].iter().all(|state| ended(state) == Some(1.0))
    })
    .await;
    let failures =
        |class| value(&shown, &format!("remesa_provider_failures_total{{channel=\"sms\",class=\"{class}\"}}"));
    assert_eq!((failures("permanent"), failures("ambiguous"), failures("denied")), (Some(1.0), Some(1.0), Some(0.0)));
    // What the provider's 429 does is written by report.lua: here by hand, a second ahead.
    let until = scene.now_ms().await + 3_000;
    let () = redis::AsyncCommands::hset(&mut scene.db, "remesa:channel:sms", "blocked_until", until).await.unwrap();
    metrics_where(address, "two looks within the block", |metrics| {
        value(metrics, "remesa_channel_held_seconds_total{channel=\"sms\",why=\"throttled\"}") > Some(1.0)
    })
    .await;
}

#[tokio::test]
async fn what_a_dead_daemon_left_is_counted_by_the_one_that_takes_it_up() {
    let mut scene = Scene::with("in_flight = 8\n", |sandbox| sandbox.hold = true).await;
    let mut first = scene.daemon().await;
    scene.enqueue("generate", &send_job("c", people(50))).await;
    counted(&scene.sandbox, "all permits are accepted", |stats| stats.counts.accepted == 8).await;
    first.kill();
    scene.sandbox.change(|settings| settings.hold = false).unwrap();
    let second = Daemon::start(&scene.settings).await;
    scene.finished("c").await;
    metrics_where(second.http().await, "entries and recipients are recovered", |metrics| {
        let recovered = |what| value(metrics, &format!("remesa_recovered_total{{what=\"{what}\"}}"));
        recovered("entry") >= Some(1.0) && recovered("recipient") == Some(8.0)
    })
    .await;
}

#[tokio::test]
async fn due_times_are_counted_by_what_became_of_them() {
    let mut scene = Scene::new().await;
    scene.settings = scene.settings.instance("r").set("recurring.min_interval", "1s");
    let daemon = scene.daemon().await;
    scene.run("generate", &generate_job("c", people(3))).await;
    let definition = json!({"id": "rec", "recurring": "every", "campaign": "c", "channel": "sms", "every": "1s",
                            "audience": "orders", "text": "Hola", "max_runs": 2});
    scene.run("recurring", &definition).await;
    let shown = metrics_where(daemon.http().await, "both runs are counted", |metrics| {
        value(metrics, "remesa_recurring_due_total{result=\"run\"}") == Some(2.0)
    })
    .await;
    assert!(value(&shown, "remesa_recurring_late_seconds_count") >= Some(2.0), "{shown}");
    let (status, _) = get(daemon.http().await, "/metrics").await;
    assert_eq!(status, 200);
}
