//! `/livez`, `/readyz`, `/startupz`: from the start to the drain, with Redis and without.

use std::net::{SocketAddr, TcpListener};

use crate::support::daemon::Daemon;
use crate::support::http::{get, metrics_where, try_get, value};
use crate::support::provider::counted;
use crate::support::redis::Redis;
use crate::support::scene::{Scene, people, send_job};
use crate::support::wait;

/// A port that nobody had a moment ago.
fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// The answers to `/livez`, `/readyz` and `/startupz`.
async fn states(address: SocketAddr) -> [u16; 3] {
    let mut states = [0; 3];
    for (state, path) in states.iter_mut().zip(["/livez", "/readyz", "/startupz"]) {
        *state = get(address, path).await.0;
    }
    states
}

#[tokio::test]
async fn a_daemon_that_waits_for_redis_is_alive_and_not_started_until_redis_is_there() {
    let mut scene = Scene::over(Redis::start_append_only().await, "", |_| {}).await;
    let address = free_address();
    scene.settings = scene.settings.instance("h").set("http.listen", &address.to_string());
    scene.redis.kill();
    let daemon = Daemon::spawn(&scene.settings);
    daemon.event("waiting for redis", |_| true).await;
    assert_eq!(states(address).await, [200, 503, 503]);
    assert_eq!(get(address, "/readyz").await.1, "starting\n");
    assert_eq!(get(address, "/metrics").await.0, 503);
    scene.redis.restart().await;
    daemon.ready().await;
    // The door changes hands; whoever was let in before is told what was so then.
    wait::until("everything is ready", async || (states(address).await == [200, 200, 200]).then_some(())).await;
}

#[tokio::test]
async fn a_daemon_whose_redis_goes_away_is_alive_and_not_ready_until_it_is_back() {
    let mut scene = Scene::over(Redis::start_append_only().await, "", |_| {}).await;
    let daemon = scene.daemon().await;
    let address = daemon.http().await;
    wait::until("ready", async || (states(address).await == [200, 200, 200]).then_some(())).await;
    scene.redis.kill();
    wait::until("not ready", async || (states(address).await == [200, 503, 200]).then_some(())).await;
    scene.redis.restart().await;
    wait::until("ready again", async || (states(address).await == [200, 200, 200]).then_some(())).await;
    metrics_where(address, "it was reached again", |metrics| {
        value(metrics, "remesa_redis_reconnects_total") >= Some(1.0) && value(metrics, "remesa_redis_up") == Some(1.0)
    })
    .await;
    // Frozen, it takes connections and answers nothing.
    scene.redis.stop();
    assert_eq!(get(address, "/readyz").await, (503, "redis does not answer within 1 s\n".to_owned()));
    assert_eq!(get(address, "/livez").await.0, 200);
    scene.redis.cont();
}

#[tokio::test]
async fn a_draining_daemon_is_alive_and_not_ready() {
    let mut scene = Scene::with("", |sandbox| sandbox.hold = true).await;
    let mut daemon = scene.daemon().await;
    let address = daemon.http().await;
    scene.enqueue("generate", &send_job("c", people(4))).await;
    counted(&scene.sandbox, "one is in flight", |stats| stats.in_flight >= 1).await;
    daemon.term();
    wait::until("it drains", async || (get(address, "/readyz").await == (503, "draining\n".to_owned())).then_some(()))
        .await;
    assert_eq!(states(address).await, [200, 503, 200]);
    scene.sandbox.change(|settings| settings.hold = false).unwrap();
    assert_eq!(daemon.exit_code().await, Some(0));
    assert_eq!(try_get(address, "/livez").await, None);
}
