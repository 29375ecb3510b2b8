//! Due times become runs, one each; those that cannot be kept are recorded.

use redis::AsyncCommands as _;
use serde_json::json;

use super::{job, scene};
use crate::support::wait;

const HOUR: i64 = 3_600_000;

#[tokio::test]
async fn bm_7_each_due_time_gets_one_run_until_they_are_used_up() {
    let mut scene = scene(3).await;
    let _daemon = scene.daemon().await;
    scene.done("gen-c").await;
    let defined = scene.run("recurring", &job(&json!({"every": "1s", "max_runs": 3}))).await;
    assert_eq!((&defined["version"], &defined["changed"]), (&json!(1), &json!(true)));
    let definition = scene.defined("state", |state| state == "stopped").await;
    assert_eq!((definition["reason"].as_str(), definition["runs"].as_str()), ("max_runs", "3"));
    let first: i64 = definition["first"].parse().unwrap();
    let names = scene.made(3).await;
    assert_eq!(names, [0, 1, 2].map(|n| format!("w@{}", first + n * 1000)));
    for name in &names {
        let run = scene.tick_finished(name).await;
        assert_eq!((run["sent"].as_str(), run["total"].as_str()), ("3", "3"), "{name}");
        assert_eq!((run["recurring"].as_str(), run["version"].as_str(), run["definition"].as_str()), ("w", "1", "w"));
        assert!(name.ends_with(&run["due_at"]));
    }
    assert_eq!(scene.sandbox.stats().counts.accepted, 9);
    let stopped = scene.told("recurring").await.pop().unwrap();
    assert_eq!((stopped["what"].as_str(), stopped["reason"].as_str()), (Some("stopped"), Some("max_runs")));
}

#[tokio::test]
async fn permanent_messages_do_not_count_for_what_a_campaign_has_delivered() {
    let mut scene = scene(2).await;
    let _daemon = scene.daemon().await;
    scene.done("gen-c").await;
    scene.run("recurring", &job(&json!({"every": "1s", "max_runs": 1}))).await;
    scene.defined("state", |state| state == "stopped").await;
    let name = scene.made(1).await.remove(0);
    scene.tick_finished(&name).await;
    let campaign = scene.campaign("c").await;
    assert_eq!((campaign["state"].as_str(), campaign["running_runs"].as_str()), ("generated", "0"));
    assert_eq!(campaign["deliveries:sent"], "2");
}

#[tokio::test]
async fn bm_8_the_audience_is_asked_for_anew_at_each_tick() {
    let mut scene = scene(2).await;
    let _daemon = scene.daemon().await;
    scene.done("gen-c").await;
    scene.run("recurring", &job(&json!({"every": "1s"}))).await;
    let first = scene.made(1).await.remove(0);
    assert_eq!(scene.tick_finished(&first).await["total"], "2");
    let more = json!({"id": "more", "campaign": "c", "append": true, "currency": "EUR",
                      "rows": [{"key": "late", "amount": 1, "SMScontact": "+34699999999", "name": "Eva"}]});
    scene.run("generate", &more).await;
    wait::until("a run over three orders", async || scene.ticks().await.pop().filter(|(_, run)| run["total"] == "3"))
        .await;
}

#[tokio::test]
async fn bm_7_a_definition_never_overlaps_itself() {
    let mut scene = scene(1).await;
    let _daemon = scene.daemon().await;
    scene.done("gen-c").await;
    scene.command(json!({"action": "pause", "channel": "sms"})).await;
    scene.run("recurring", &job(&json!({"every": "1s"}))).await;
    let definition = scene.defined("overlapped", |count| count.parse::<u64>().unwrap() >= 2).await;
    assert_eq!((definition["runs"].as_str(), scene.ticks().await.len()), ("1", 1));
    let told = wait::until("an overlap is told", async || {
        scene.told("recurring").await.into_iter().find(|event| event["what"] == "overlapped")
    })
    .await;
    assert_eq!((told["reason"].as_str(), &told["count"]), (Some("under_way"), &json!(1)));
    // When the run before has ended, the next due time runs.
    scene.command(json!({"action": "resume", "channel": "sms"})).await;
    scene.defined("runs", |runs| runs != "1").await;
}

#[tokio::test]
async fn bm_7_a_due_time_that_stands_in_line_runs_when_the_one_before_has_ended() {
    let mut scene = scene(1).await;
    let _daemon = scene.daemon().await;
    scene.done("gen-c").await;
    scene.command(json!({"action": "pause", "channel": "sms"})).await;
    let until = scene.now_ms().await + 3_500;
    scene.run("recurring", &job(&json!({"every": "1s", "overlap": "queue", "until": until}))).await;
    // Three due times behind the first: the latest stands in line, the two others gave way to it.
    let definition = scene.defined("overlapped", |count| count == "2").await;
    let (queued, first): (i64, i64) = (definition["queued"].parse().unwrap(), definition["first"].parse().unwrap());
    assert_eq!((queued - first, definition["state"].as_str()), (3_000, "active"));
    scene.command(json!({"action": "resume", "channel": "sms"})).await;
    let definition = scene.defined("state", |state| state == "stopped").await;
    assert_eq!((definition["reason"].as_str(), definition["runs"].as_str()), ("until", "2"));
    assert_eq!(scene.tick_finished(&format!("w@{queued}")).await["sent"], "1");
}

#[tokio::test]
async fn bm_1_a_run_that_was_held_takes_the_place_of_a_due_time_soon_after() {
    let mut scene = scene(1).await;
    let _daemon = scene.daemon().await;
    scene.done("gen-c").await;
    let soon = scene.now_ms().await + 1_000;
    scene.run("recurring", &job(&json!({"every": "4s", "starts_at": soon}))).await;
    let first = scene.made(1).await.remove(0);
    scene.tick_finished(&first).await;
    let next: i64 = scene.definition().await["next_at"].parse().unwrap();
    // Its contact hours began a second before the next due time, which is less than half an interval.
    let () = scene.db.hset(format!("remesa:{{c}}:run:{first}"), "opened_at", next - 1_000).await.unwrap();
    let definition = scene.defined("overlapped", |count| count == "1").await;
    assert_eq!((definition["runs"].as_str(), scene.ticks().await.len()), ("1", 1));
    let told = wait::until("the due time is told", async || {
        scene.told("recurring").await.into_iter().find(|event| event["what"] == "overlapped")
    })
    .await;
    assert_eq!((&told["reason"], &told["due"]), (&json!("absorbed"), &json!(next)));
    assert_eq!(scene.made(2).await[1], format!("w@{}", next + 4_000));
}

/// Puts the next due time of a definition into the past, as if no daemon had been there since.
async fn absent_since(scene: &mut crate::support::scene::Scene, ms: i64) -> i64 {
    let due = scene.now_ms().await - ms;
    let () = scene.db.hset("remesa:{c}:recurring:w", "first", due).await.unwrap();
    let () = scene.db.hset("remesa:{c}:recurring:w", "next_at", due).await.unwrap();
    let () = scene.db.zadd("remesa:scheduled", "recurring|c|w", due).await.unwrap();
    due
}

#[tokio::test]
async fn bm_7_missed_ticks_become_one_run_inside_the_grace() {
    let mut scene = scene(1).await;
    let mut daemon = scene.daemon().await;
    scene.done("gen-c").await;
    let later = scene.now_ms().await + HOUR;
    scene.run("recurring", &job(&json!({"every": "1h", "starts_at": later}))).await;
    daemon.kill();
    let due = absent_since(&mut scene, 5 * HOUR + 60_000).await;
    let _daemon = scene.daemon().await;
    let definition = scene.defined("runs", |runs| runs == "1").await;
    assert_eq!(definition["missed"], "5");
    assert_eq!(definition["next_at"], (due + 6 * HOUR).to_string());
    assert_eq!(definition["last_run"], format!("w@{}", due + 5 * HOUR));
    scene.tick_finished(&format!("w@{}", due + 5 * HOUR)).await;
}

#[tokio::test]
async fn da_5_ticks_missed_beyond_the_grace_are_recorded_and_told() {
    for (misfire, late) in [("run_once", 45 * 60_000), ("skip", 2 * 60_000)] {
        let mut scene = scene(1).await;
        let mut daemon = scene.daemon().await;
        scene.done("gen-c").await;
        let later = scene.now_ms().await + HOUR;
        scene.run("recurring", &job(&json!({"every": "1h", "starts_at": later, "misfire": misfire}))).await;
        daemon.kill();
        let due = absent_since(&mut scene, 3 * HOUR + late).await;
        let _daemon = scene.daemon().await;
        let definition = scene.defined("missed", |missed| missed == "4").await;
        assert_eq!((definition["runs"].as_str(), scene.ticks().await.len()), ("0", 0), "{misfire}");
        assert_eq!(definition["next_at"], (due + 4 * HOUR).to_string());
        let told = wait::until("the missed ticks are told", async || {
            scene.told("recurring").await.into_iter().find(|event| event["what"] == "missed")
        })
        .await;
        assert_eq!((&told["due"], &told["count"], &told["reason"]), (&json!(due), &json!(4), &json!("late")));
    }
}
