//! Writing a definition: refused, new, changed, the same again.

use serde_json::json;

use super::{job, scene};

#[tokio::test]
async fn bm_23_a_changed_definition_is_a_new_version_from_its_next_due_time_on() {
    let mut scene = scene(1).await;
    let _daemon = scene.daemon().await;
    scene.done("gen-c").await;
    scene.command(json!({"action": "pause", "channel": "sms"})).await;
    scene.run("recurring", &job(&json!({"every": "1s"}))).await;
    scene.defined("overlapped", |count| count != "0").await;
    let (first, _) = scene.ticks().await.pop().unwrap();
    let mut changed = job(&json!({"every": "1s", "text": "Adios {{ name }}"}));
    changed["id"] = "def-2".into();
    let result = scene.run("recurring", &changed).await;
    assert_eq!((&result["version"], &result["changed"]), (&json!(2), &json!(true)));
    // The run under way keeps its text, the next one has the new one; the count of due times goes on.
    scene.command(json!({"action": "resume", "channel": "sms"})).await;
    let run = scene.tick_finished(&first).await;
    assert!(run["content"].contains("Hola") && run["version"] == "1", "{run:?}");
    let second = scene.made(2).await.remove(1);
    let run = scene.tick_finished(&second).await;
    assert!(run["content"].contains("Adios") && run["version"] == "2", "{run:?}");
    let steps = due(&second) - due(&first);
    assert_eq!(steps % 1000, 0, "{first} {second}");
}

fn due(run: &str) -> i64 {
    run.rsplit_once('@').unwrap().1.parse().unwrap()
}

#[tokio::test]
async fn a_definition_written_again_as_it_is_changes_nothing() {
    let mut scene = scene(1).await;
    let _daemon = scene.daemon().await;
    scene.done("gen-c").await;
    let times = json!({"every": "1d", "timezone": "Europe/Madrid", "starts_at": "2030-01-01T09:00:00+01:00"});
    scene.run("recurring", &job(&times)).await;
    let before = scene.definition().await;
    let mut again = job(&times);
    again["id"] = "def-2".into();
    let result = scene.run("recurring", &again).await;
    assert_eq!((&result["version"], &result["changed"]), (&json!(1), &json!(false)));
    assert_eq!(scene.definition().await, before);
}

#[tokio::test]
async fn a_send_that_says_how_often_is_the_same() {
    let mut scene = scene(1).await;
    let _daemon = scene.daemon().await;
    scene.done("gen-c").await;
    let send = json!({"id": "s", "message": "w", "campaign": "c", "channel": "sms", "audience": "orders", "text": "{{ url }}",
                      "frequency": {"every": "1s", "max_runs": 2}});
    assert_eq!(scene.run("send", &send).await["recurring"], "w");
    let definition = scene.defined("state", |state| state == "stopped").await;
    assert_eq!((definition["runs"].as_str(), scene.made(2).await.len()), ("2", 2));
}

#[tokio::test]
async fn what_cannot_be_is_refused_with_its_code() {
    let mut scene = scene(1).await;
    scene.settings = scene.settings.set("recurring.min_interval", "1h");
    let _daemon = scene.daemon().await;
    scene.done("gen-c").await;
    let cases = [
        (json!({"every": "59m"}), "interval_too_short"),
        (json!({"cron": "*/30 * * * *"}), "interval_too_short"),
        (json!({"cron": "0 9 31 4 *"}), "crontab_never_fires"),
        (json!({"cron": "0 9 * *"}), "invalid_crontab"),
        (json!({"every": "tomorrow"}), "invalid_duration"),
        (json!({"every": "1d", "timezone": "Mars/Olympus"}), "unknown_timezone"),
        (
            json!({"every": "1d", "starts_at": "2030-01-02T00:00:00Z", "until": "2030-01-01T00:00:00Z"}),
            "conflicting_times",
        ),
        (json!({"every": "1d", "until": "2020-01-01T00:00:00Z"}), "conflicting_times"),
        (json!({"cron": "0 9 1 1 *", "until": "2020-01-01T00:00:00Z"}), "conflicting_times"),
        (json!({"every": "1d", "cron": "0 9 * * *"}), "conflicting_fields"),
        (json!({}), "missing_field"),
        (json!({"every": "1d", "misfire": "later"}), "invalid_value"),
        (json!({"every": "1d", "max_runs": 0}), "invalid_value"),
        (json!({"every": "1d", "campaign": "nowhere"}), "unknown_campaign"),
        (json!({"every": "1d", "channel": "nowhere"}), "unknown_channel"),
        (json!({"every": "1d", "text": "{{ name"}), "template_syntax"),
        (json!({"every": "1d", "evry": "1d"}), "unknown_field"),
    ];
    for (number, (fields, code)) in cases.into_iter().enumerate() {
        let mut bad = job(&fields);
        bad["id"] = format!("bad-{number}").into();
        scene.enqueue("recurring", &bad).await;
        let (got, sentence) = scene.refused(&format!("bad-{number}")).await;
        assert_eq!(got, code, "{fields}: {sentence}");
    }
    assert!(scene.definition().await.is_empty());
}
