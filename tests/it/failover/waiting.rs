//! `redis.wait_replicas`: nothing leaves before the replicas have the claim.

use super::{came_to_its_end, watched};
use redis::AsyncCommands as _;
use reqwest::StatusCode;

use crate::optout::replies::{post, reply};
use crate::optout::{Browser, got, offer, token};
use crate::support::daemon::{Daemon, Settings};
use crate::support::provider::counted;
use crate::support::scene::{people, phone, send_job};
use crate::support::wait;

/// These settings, with claims that wait for the replica.
fn waiting(settings: Settings) -> Settings {
    settings.set("redis.wait_replicas", "1").set("redis.wait_timeout", "300ms")
}

/// The log event of a claim that was not replicated.
const RELEASED: &str = "too few replicas have the latest claims: they are released";

#[tokio::test]
async fn a_claim_that_no_replica_has_is_released_and_nothing_leaves_until_one_has() {
    let (mut scene, watched) = watched(1, &[]).await;
    scene.settings = waiting(scene.settings);
    watched.replicas[0].stop();
    let daemon = scene.daemon().await;
    scene.enqueue("generate", &send_job("c", people(50))).await;
    daemon.event(RELEASED, |_| true).await;
    assert_eq!(scene.sandbox.stats().counts.accepted, 0);
    watched.replicas[0].cont();
    came_to_its_end(&mut scene, 50, 0).await;
    let (_, attempt, _) = scene.outcome("c", 1).await;
    assert_eq!(attempt, 1, "a release is no attempt");
}

#[tokio::test]
async fn under_a_partition_a_daemon_on_each_side_sends_nothing_twice() {
    let (mut scene, watched) = watched(2, &[]).await;
    scene.settings = waiting(scene.settings);
    let _on_the_old_side = scene.daemon().await;
    scene.enqueue("generate", &send_job("c", people(600))).await;
    counted(&scene.sandbox, "some are accepted", |stats| stats.counts.accepted >= 100).await;
    watched.wall.shut();
    scene.db = watched.failed_over().await;
    let _on_the_new_side = Daemon::start(&scene.settings.instance("two")).await;
    came_to_its_end(&mut scene, 600, 600).await;
    watched.wall.open();
    watched.is_replica(&scene.redis).await;
    assert_eq!(scene.sandbox.stats().counts.repeated_recipients, 0);
}

#[tokio::test]
async fn who_unsubscribes_or_answers_stop_is_told_so_when_a_replica_knows_it_and_is_still_off_after_a_failover() {
    let (mut scene, watched) = watched(1, &[]).await;
    let settings =
        waiting(scene.settings).set("http.public_url", "https://sms.example").set("unsubscribe.company", "Acme");
    scene.settings = settings.toml("[channels.sms.replies]\nenabled = true\nunsigned = true\n");
    let daemon = scene.daemon().await;
    scene.run("generate", &offer("c", people(2))).await;
    scene.campaign_is("c", "delivered").await;
    let (browser, link) = (Browser::at(&daemon).await, format!("/u/{}", token(&got(&scene, &phone(1)))));
    let stop = reply(2, "BAJA", "r-1");
    watched.replicas[0].stop();
    assert_eq!(browser.post(&link).await.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(post(&daemon, &stop, &[]).await.0, StatusCode::SERVICE_UNAVAILABLE);
    watched.replicas[0].cont();
    // They come again until they are told that it is done.
    wait::until("both are done", async || {
        let done = [browser.post(&link).await.status, post(&daemon, &stop, &[]).await.0];
        (done == [StatusCode::OK; 2]).then_some(())
    })
    .await;
    watched.wall.shut();
    scene.db = watched.failed_over().await;
    let mut off: Vec<String> = scene.db.smembers("remesa:optout:phone").await.unwrap();
    off.sort();
    assert_eq!(off, [phone(1), phone(2)]);
}
