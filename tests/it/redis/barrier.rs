//! How long the others are waited for before anybody claims on a server that is new.

use std::time::{Duration, Instant};

use redis::AsyncCommands as _;
use remesa::store::ServerIdentity;

use crate::support::scene::Scene;
use crate::support::wait;

const LEASE: Duration = Duration::from_millis(400);

/// `beats` is what is known to be alive besides us, `signs` who gives signs, for whom else.
async fn waits_for(beats: &str, (signs, dead): (&str, &[String])) {
    let mut scene = Scene::new().await;
    let store = scene.store();
    let server = ServerIdentity { run_id: "new".to_owned(), replication_id: "new".to_owned() };
    let beats = [(scene.now_ms().await, "me"), (scene.now_ms().await, beats)];
    let () = scene.db.zadd_multiple("remesa:workers", &beats).await.unwrap();
    let began = Instant::now();
    wait::until("three leases pass", async || {
        store.meet_server(&server, signs, dead).await.unwrap();
        let left = store.pass_barrier(&server, "me", &["me"], LEASE).await.unwrap();
        assert!(left.is_some(), "passed while {signs} was at it");
        (began.elapsed() > 3 * LEASE).then_some(())
    })
    .await;
    let silent = Instant::now();
    wait::until("the barrier opens", async || {
        store.pass_barrier(&server, "me", &["me"], LEASE).await.unwrap().is_none().then_some(())
    })
    .await;
    // By Redis' clock in whole milliseconds, and a sign that was given a moment before.
    assert!(silent.elapsed() + Duration::from_millis(100) > LEASE, "it was not waited for");
}

#[tokio::test]
async fn whoever_writes_again_what_it_did_is_waited_for_and_silence_no_longer_than_a_lease() {
    waits_for("other", ("other", &[])).await;
}

#[tokio::test]
async fn whoever_writes_again_what_a_dead_one_did_is_waited_for_in_its_place() {
    waits_for("dead", ("successor", &["dead".to_owned()])).await;
}
