//! SIGKILL while a platform makes orders: before it is asked, while it is asked, and before its answer is written.

use serde_json::json;

use super::{each_once, payments, scene};
use crate::support::daemon::Settings;
use crate::support::gate::{Gate, Side};
use crate::support::provider::counted;
use crate::support::scene::{generate_job, people, send_job};

const ROWS: u64 = 40;

#[tokio::test]
async fn da_2_orders_at_the_platform_when_a_daemon_is_killed_are_made_once() {
    for idempotent in [true, false] {
        let mut scene = scene(idempotent, "in_flight = 8\n", |settings| settings.hold = true).await;
        let mut first = scene.daemon().await;
        scene.enqueue("generate", &send_job("c", people(40))).await;
        // Made, and nobody has heard of it.
        counted(&scene.sandbox, "8 orders made", |stats| stats.payments.created == 8).await;
        first.kill();
        scene.sandbox.change(|settings| settings.payments.hold = false).unwrap();
        let _second = scene.daemon().await;
        scene.done("gen-c").await;
        scene.campaign_is("c", "delivered").await;
        each_once(&mut scene, "c", ROWS).await;
        let counts = payments(&scene);
        assert_eq!(counts.asked, if idempotent { ROWS + 8 } else { ROWS }, "{counts:?}");
        assert_eq!(scene.sandbox.stats().counts.accepted, ROWS);
    }
}

#[tokio::test]
async fn da_2_a_daemon_killed_at_any_step_of_making_orders_makes_each_once() {
    for (script, side, skip) in [
        ("write_orders", Side::After, 0),
        ("claim_orders", Side::Before, 1),
        ("claim_orders", Side::After, 0),
        ("claim_orders", Side::After, 3),
        ("settle_orders", Side::Before, 0),
        ("settle_orders", Side::Before, 2),
        ("settle_orders", Side::After, 1),
    ] {
        let mut scene = scene(false, "in_flight = 4\n", |_| {}).await;
        let gate = Gate::before(&scene.redis);
        let point = super::point("pp-main", &scene, "in_flight = 4\n");
        scene.settings = Settings::with_redis_url(&gate.url())
            .sandbox_channel("sms", &scene.sandbox.url(), "")
            .toml(&point)
            .toml("[sources]\nslice_rows = 20\n");
        let mut first = scene.daemon().await;
        gate.catch(&mut scene.db, script, side, skip).await;
        scene.enqueue("generate", &generate_job("c", people(40))).await;
        gate.caught(&format!("{script} {side:?}")).await;
        first.kill();
        let _second = scene.daemon().await;
        let result = scene.done("gen-c").await;
        assert_eq!((&result["orders"], &result["refused"]), (&json!(ROWS), &json!(0)), "{script} {side:?} {skip}");
        each_once(&mut scene, "c", ROWS).await;
    }
}

#[tokio::test]
async fn two_daemons_and_a_killed_third_share_the_platform_and_make_each_order_once() {
    let mut scene = scene(false, "in_flight = 4\n", |settings| settings.latency_max_ms = 20).await;
    let _one = crate::support::daemon::Daemon::start(&scene.settings.instance("one")).await;
    let _two = crate::support::daemon::Daemon::start(&scene.settings.instance("two")).await;
    let mut three = scene.daemon().await;
    for campaign in ["a", "b", "d"] {
        scene.enqueue("generate", &generate_job(campaign, people(60))).await;
    }
    counted(&scene.sandbox, "30 orders made", |stats| stats.payments.created >= 30).await;
    three.kill();
    for campaign in ["a", "b", "d"] {
        scene.done(&format!("gen-{campaign}")).await;
    }
    let counts = payments(&scene);
    assert_eq!((counts.created, counts.duplicates), (180, 0), "{counts:?}");
    for campaign in ["a", "b", "d"] {
        crate::support::ledger::campaign_audit(&mut scene.db, campaign).await;
        assert_eq!(scene.campaign(campaign).await["orders:available"], "60");
    }
}
