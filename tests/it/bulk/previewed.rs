//! What a preview says of a bulk message is what its run does afterwards.

use serde_json::{Value, json};

use crate::support::scene::{Scene, phone};

use super::{person, put_cases, send};

/// Cases of every kind: named and nameless, closed, without a contact, with two, of a label.
async fn cases(scene: &mut Scene) {
    let mut all: Vec<Value> = (1..=30).map(person).collect();
    all[1]["client"] = json!({});
    all[2]["state"] = "closed".into();
    all[3]["contacts"] = json!([]);
    all[4]["client"]["labels"] = json!(["lawyer"]);
    let second = json!({"kind": "mobile", "value": phone(900), "updated_at": 2});
    all[5]["contacts"].as_array_mut().unwrap().push(second);
    all[6]["client"]["first_name"] = "Raúl".into();
    put_cases(scene, "c", &all).await;
}

fn fields() -> Value {
    json!({
        "text": "Hola {{ first_name }}", "contacts": "all", "only_active": true,
        "filter": {"all": [{"column": "labels", "operator": "not_equals", "value": "lawyer"}]},
    })
}

#[tokio::test]
async fn bm_22_a_preview_lists_whom_a_message_reaches_and_how_many_would_fail() {
    let mut scene = Scene::with("rate_per_second = 1000\n", |_| {}).await;
    let _daemon = scene.daemon().await;
    cases(&mut scene).await;
    let job = super::message("c", &fields());
    let asked = json!({"action": "preview", "queue": "send", "job": job, "samples": 2});
    let preview = scene.command(asked.clone()).await;
    assert_eq!(preview["verdict"], json!({"accepted": true, "state": "done"}));
    let audience = json!({"of": "cases", "recipients": 30, "matched": 28, "further": 1,
                          "left_out": {"case_closed": 1, "filtered": 1}});
    assert_eq!(preview["audience"], audience);
    let messages = &preview["messages"];
    assert_eq!(messages["skip"], json!({"no_contact": 1}));
    assert_eq!(messages["fail"]["missing_variable:first_name"], json!({"messages": 1, "first_row": 2}));
    assert_eq!((&messages["send"], &messages["ucs2"]), (&json!(27), &json!(1)));
    assert_eq!(messages["samples"][0]["text"], "Hola Ana 1");
    let run = send(&mut scene, "c", &fields()).await;
    let of_run = |field: &str| run.get(field).map_or(0, |text| text.parse::<u64>().unwrap());
    assert_eq!(of_run("sent") + of_run("delivered"), 27);
    assert_eq!((of_run("failed"), of_run("left_out"), of_run("skipped")), (1, 2, 3));
    // Its name is taken now.
    let again = scene.command(asked).await;
    assert_eq!(again["verdict"]["error_code"], "message_exists");
}

#[tokio::test]
async fn a_preview_of_a_permanent_message_shows_its_next_due_times() {
    let mut scene = Scene::with("rate_per_second = 1000\n", |_| {}).await;
    let _daemon = scene.daemon().await;
    cases(&mut scene).await;
    let mut job = super::message("c", &fields());
    let fields = job.as_object_mut().unwrap();
    fields.remove("message");
    fields.insert("recurring".to_owned(), "daily".into());
    fields.insert("every".to_owned(), "24h".into());
    fields.insert("max_runs".to_owned(), 3.into());
    let preview = scene.command(json!({"action": "preview", "queue": "recurring", "job": job})).await;
    assert_eq!(preview["audience"]["matched"], 28);
    let coming: Vec<i64> = preview["coming"].as_array().unwrap().iter().map(|at| at.as_i64().unwrap()).collect();
    let day = 24 * 60 * 60 * 1000;
    assert_eq!(coming, [coming[0], coming[0] + day, coming[0] + 2 * day]);
    let mut gone = job.clone();
    gone["until"] = 1_600_000_000_000_i64.into();
    gone["starts_at"] = 1_500_000_000_000_i64.into();
    let refused = scene.command(json!({"action": "preview", "queue": "recurring", "job": gone})).await;
    assert_eq!(refused["verdict"]["error_code"], "conflicting_times");
}
