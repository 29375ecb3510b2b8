//! What people and programs see of campaigns: the commands, the look-up over HTTP, exports.

mod commands;
mod export;
mod lookup;
mod watch;

use serde_json::{Value, json};

use crate::support::command::{self, run};
use crate::support::daemon::Daemon;
use crate::support::scene::{Scene, people, send_job};

/// Rows of [`november`].
const ROWS: usize = 300;

/// The campaign `nov`, delivered: 300 orders whose references are found, row 5 without a number, row 7 with what a
/// spreadsheet would run, rows 11 and 12 of one reference, one row refused; order 3 paid, order 4 cancelled.
async fn november() -> (Scene, Daemon) {
    let mut scene = Scene::new().await;
    scene.settings = scene.settings.set("orders.index_reference", "true");
    let daemon = scene.daemon().await;
    let mut rows = people(ROWS);
    rows[4].as_object_mut().unwrap().remove("SMScontact");
    rows[6]["reference"] = "=HYPERLINK(\"x\")".into();
    rows[6]["concept"] = "una \"cuota\",\nde dos líneas".into();
    rows[11]["reference"] = "A-11".into();
    rows.push(json!({"reference": "A-301", "amount": "12,50"}));
    scene.run("generate", &send_job("nov", rows)).await;
    scene.campaign_is("nov", "delivered").await;
    for (order, event) in [(3, "paid"), (4, "cancelled")] {
        scene.command(json!({"action": "order_event", "campaign": "nov", "order": order, "event": event})).await;
    }
    (scene, daemon)
}

/// Standard output of a command that ends well.
async fn shown(scene: &Scene, arguments: &[&str]) -> String {
    command::shown(&scene.settings, arguments).await
}

/// Standard error of a command that fails.
async fn refused(scene: &Scene, arguments: &[&str]) -> String {
    command::refused(&scene.settings, arguments).await
}

/// The JSON that a command prints.
async fn json_of(scene: &Scene, arguments: &[&str]) -> Value {
    command::json_of(&scene.settings, arguments).await
}

/// The JSON lines that a command prints.
async fn lines_of(scene: &Scene, arguments: &[&str]) -> Vec<Value> {
    shown(scene, arguments).await.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}
