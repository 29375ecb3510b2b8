//! What a person is told before: when sending will start.

use serde_json::json;

use super::{Clock, key};
use crate::support::redis::Redis;
use crate::support::scene::{Scene, people, send_job};

#[tokio::test]
async fn po_23_a_preview_says_when_sending_will_start() {
    let mut scene = Scene::over(Redis::start().await, "", |_| {}).await;
    let (hours, opens, closes) = Clock::of(&mut scene).await.hours(3600, 3610);
    // At one part a second the first ten leave in the block, the other two in that of the next day.
    let channel = format!("rate_per_second = 1\n{}", key("hours", &hours));
    let mut scene = Scene::over(scene.redis, &channel, |_| {}).await;
    let _daemon = scene.daemon().await;
    let mut job = send_job("c", people(12));
    job["expires_in"] = "2h".into();
    let report = scene.command(json!({"action": "preview", "job": job})).await;
    let sending = &report["sending"];
    assert_eq!(sending["estimated_start"].as_i64(), Some(opens), "{report}");
    assert_eq!(sending["estimated_end"].as_i64(), Some(opens + 86_400_000 + 2_000), "{report}");
    assert_eq!(closes - opens, 10_000);
    let warnings: Vec<&str> =
        report["warnings"].as_array().unwrap().iter().map(|warning| warning["code"].as_str().unwrap()).collect();
    assert_eq!(warnings, ["outside_hours"], "an hour of life is left at the opening");
    // With an hour of life they would expire when the hours begin.
    job["expires_in"] = "1h".into();
    let report = scene.command(json!({"action": "preview", "job": job})).await;
    assert_eq!(
        (report["messages"]["send"].as_u64(), report["sending"]["late"].as_u64()),
        (Some(0), Some(12)),
        "{report}"
    );
}
