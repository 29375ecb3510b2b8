//! What an operator does to a permanent message, by job and by command.

use serde_json::{Value, json};

use super::{job, scene};
use crate::support::wait;

fn target(action: &str) -> Value {
    json!({"action": action, "campaign": "c", "recurring": "w"})
}

#[tokio::test]
async fn bm_28_a_definition_is_active_paused_or_stopped() {
    let mut scene = scene(1).await;
    let _daemon = scene.daemon().await;
    scene.done("gen-c").await;
    scene.run("recurring", &job(&json!({"every": "1s", "grace": "1h"}))).await;
    scene.defined("runs", |runs| runs != "0").await;
    assert_eq!(scene.command(target("pause")).await["changed"], json!(true));
    let paused = scene.definition().await;
    assert_eq!((paused["state"].as_str(), paused.get("next_at")), ("paused", None));
    assert_eq!(scene.command(target("pause")).await["changed"], json!(false));
    // Due times of a pause are not made up for.
    let now = scene.now_ms().await;
    scene.command(target("resume")).await;
    let resumed = scene.definition().await;
    assert!(resumed["next_at"].parse::<i64>().unwrap() >= now, "{resumed:?}");
    assert_eq!((&*resumed["state"], &resumed["missed"]), ("active", &paused["missed"]));
    scene.defined("runs", |runs| runs.parse::<u64>().unwrap() > paused["runs"].parse().unwrap()).await;
    scene.command(target("cancel")).await;
    let stopped = scene.definition().await;
    assert_eq!((stopped["state"].as_str(), stopped.get("next_at")), ("stopped", None));
    for action in ["pause", "resume", "run_now"] {
        let (code, sentence) = scene.command_refused(target(action)).await;
        assert_eq!(code, "wrong_state", "{sentence}");
        assert!(sentence.contains("\"w\" of \"c\" is stopped"), "{sentence}");
    }
    // Neither does a program that writes its definitions again undo it.
    let mut again = job(&json!({"every": "2s"}));
    again["id"] = "again".into();
    scene.enqueue("recurring", &again).await;
    assert_eq!(scene.refused("again").await.0, "wrong_state");
    let what: Vec<Value> = scene.told("recurring").await.iter().map(|event| event["what"].clone()).collect();
    for word in ["defined", "paused", "resumed", "stopped"] {
        assert!(what.contains(&word.into()), "{what:?}");
    }
}

#[tokio::test]
async fn run_now_makes_a_run_beside_the_due_times() {
    let mut scene = scene(2).await;
    let _daemon = scene.daemon().await;
    scene.done("gen-c").await;
    scene.run("recurring", &job(&json!({"cron": "0 9 1 1 *", "timezone": "Europe/Madrid"}))).await;
    let before = scene.definition().await;
    let run = scene.command(target("run_now")).await["run"].as_str().unwrap().to_owned();
    assert_eq!(scene.tick_finished(&run).await["sent"], "2");
    let after = scene.definition().await;
    assert_eq!((&after["next_at"], after["runs"].as_str()), (&before["next_at"], "1"));
    // Not while one is under way.
    scene.command(json!({"action": "pause", "channel": "sms"})).await;
    let run = scene.command(target("run_now")).await["run"].as_str().unwrap().to_owned();
    let (code, sentence) = scene.command_refused(target("run_now")).await;
    assert_eq!(code, "wrong_state");
    assert!(sentence.contains(&run), "{sentence}");
    let wrong = json!({"action": "run_now", "campaign": "c", "recurring": "x"});
    assert_eq!(scene.command_refused(wrong).await.0, "unknown_recurring");
}

#[tokio::test]
async fn po_20_cancelling_a_campaign_stops_its_permanent_messages() {
    let mut scene = scene(1).await;
    let _daemon = scene.daemon().await;
    scene.done("gen-c").await;
    scene.run("recurring", &job(&json!({"every": "1s"}))).await;
    scene.defined("runs", |runs| runs != "0").await;
    scene.command(json!({"action": "cancel", "campaign": "c"})).await;
    let stopped = scene.definition().await;
    assert_eq!((stopped["state"].as_str(), stopped.get("next_at"), stopped.get("pending")), ("stopped", None, None));
    let told = wait::until("the stop is told", async || {
        scene.told("recurring").await.into_iter().find(|event| event["what"] == "stopped")
    })
    .await;
    assert_eq!(told["reason"], stopped["reason"]);
    let mut more = job(&json!({"every": "1s"}));
    (more["id"], more["recurring"]) = ("more".into(), "x".into());
    scene.enqueue("recurring", &more).await;
    assert_eq!(scene.refused("more").await.0, "wrong_state");
}

#[tokio::test]
async fn a_paused_campaign_holds_its_permanent_messages_back() {
    let mut scene = scene(1).await;
    let _daemon = scene.daemon().await;
    scene.done("gen-c").await;
    let soon = scene.now_ms().await + 1_500;
    scene.run("recurring", &job(&json!({"every": "1s", "starts_at": soon}))).await;
    scene.command(json!({"action": "pause", "campaign": "c"})).await;
    scene.defined("missed", |missed| missed != "0").await;
    assert_eq!(scene.definition().await["runs"], "0");
    scene.command(json!({"action": "resume", "campaign": "c"})).await;
    scene.defined("runs", |runs| runs != "0").await;
    assert_eq!(scene.campaign("c").await["state"], "generated");
}

#[tokio::test]
async fn the_coming_runs_are_shown_in_local_time_and_utc() {
    let mut scene = scene(1).await;
    let _daemon = scene.daemon().await;
    scene.done("gen-c").await;
    let times = json!({"cron": "30 2 28-30 3 *", "timezone": "Europe/Madrid", "starts_at": "2030-01-01T00:00:00Z"});
    scene.run("recurring", &job(&times)).await;
    let run = |arguments: &[&str]| {
        let output = scene.settings.command(arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let next: Value = serde_json::from_str(&run(&["recurring", "next", "c", "w", "--count", "4", "--json"])).unwrap();
    let local: Vec<&str> = next["coming"].as_array().unwrap().iter().map(|at| at["local"].as_str().unwrap()).collect();
    // In 2030 clocks go forward on 31 March; in 2031 on the 30th, and 2:30 is 3:00 then.
    assert_eq!(local[..3], ["2030-03-28T02:30:00+01:00", "2030-03-29T02:30:00+01:00", "2030-03-30T02:30:00+01:00"]);
    assert_eq!(next["coming"][0]["utc"], "2030-03-28T01:30:00.000Z");
    let shown = run(&["recurring", "next", "c", "w", "--count", "6"]);
    assert!(shown.contains("2031-03-30T03:00:00+02:00  2031-03-30T01:00:00.000Z"), "{shown}");
    let list = run(&["recurring", "list"]);
    assert!(list.contains("30 2 28-30 3 *") && list.contains("2030-03-28T02:30:00+01:00"), "{list}");
    let show: Value = serde_json::from_str(&run(&["recurring", "show", "c", "w", "--json"])).unwrap();
    assert_eq!((&show["state"], &show["version"]), (&json!("active"), &json!(1)));
    assert_eq!(show["definition"]["cron"], "30 2 28-30 3 *");
    assert!(run(&["recurring", "run-now", "c", "w"]).contains("w of c has begun a run"));
    assert!(run(&["recurring", "pause", "c", "w"]).contains("is paused"));
    assert!(run(&["recurring", "resume", "c", "w"]).contains("goes on"));
    assert!(run(&["recurring", "stop", "c", "w"]).contains("is stopped"));
    assert!(run(&["recurring", "show", "c", "w"]).contains("w of c is stopped"));
}
