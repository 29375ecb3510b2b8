//! SIGKILL in the middle of an import: it goes on where it was, and every case is there once.

use serde_json::json;

use super::{case, case_audit, clients, import_job};
use crate::support::daemon::Settings;
use crate::support::gate::{Gate, Side};
use crate::support::scene::Scene;

const ROWS: usize = 60;

async fn dies_at(script: &str, side: Side, skip: usize) {
    let mut scene = Scene::new().await;
    let gate = Gate::before(&scene.redis);
    scene.settings = Settings::with_redis_url(&gate.url())
        .sandbox_channel("sms", &scene.sandbox.url(), "")
        .toml("[sources]\nslice_rows = 20\n");
    let mut first = scene.daemon().await;
    gate.catch(&mut scene.db, script, side, skip).await;
    let mut rows = clients(ROWS);
    rows.push(json!({"id": "bad", "state": "nowhere"}));
    scene.enqueue("import", &import_job("c", rows)).await;
    gate.caught(&format!("{script} {side:?}")).await;
    first.kill();
    let _second = scene.daemon().await;
    let result = scene.done("imp-c").await;
    let what = format!("{script} {side:?} {skip}: {result}");
    assert_eq!((&result["cases"], &result["created"]), (&ROWS.into(), &ROWS.into()), "{what}");
    assert_eq!(result["refused"], 1, "{what}");
    assert_eq!(scene.campaign("c").await["refused"], "1", "{what}");
    assert_eq!(case_audit(&mut scene, "c").await, ROWS as u64);
    for n in [1, 20, 21, 60] {
        assert_eq!(case(&mut scene, "c", n).await["id"], format!("c-{n}"), "{what}");
    }
}

#[tokio::test]
async fn da_2_a_daemon_killed_at_any_step_of_an_import_makes_each_case_once() {
    for (script, side, skip) in [
        ("enter_import", Side::Before, 0),
        ("enter_import", Side::After, 0),
        ("find_cases", Side::After, 1),
        ("write_cases", Side::Before, 0),
        ("write_cases", Side::After, 0),
        ("write_cases", Side::After, 1),
        ("write_cases", Side::After, 3),
    ] {
        dies_at(script, side, skip).await;
    }
}
