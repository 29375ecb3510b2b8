//! Closing and opening cases by command, looking them up, forgetting their people.

use redis::AsyncCommands as _;
use remesa::store::{Connection, Store, Timeouts};
use serde_json::{Value, json};

use super::{case, case_audit, clients, import_job};
use crate::support::daemon::Daemon;
use crate::support::scene::{Scene, phone};
use crate::support::{grep, wait};

/// Standard output of a command that ends well.
async fn shown(scene: &Scene, arguments: &[&str]) -> String {
    let mut command = scene.settings.command(arguments);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

async fn json_of(scene: &Scene, arguments: &[&str]) -> Value {
    serde_json::from_str(&shown(scene, arguments).await).unwrap()
}

async fn get(daemon: &Daemon, path: &str) -> (u16, Value) {
    let response = reqwest::get(format!("http://{}{path}", daemon.http().await)).await.unwrap();
    let (status, text) = (response.status().as_u16(), response.text().await.unwrap());
    (status, serde_json::from_str(&text).unwrap_or_else(|_| panic!("{path}: {text}")))
}

#[tokio::test]
async fn bm_14_a_command_closes_a_case_once_and_another_opens_it_again() {
    let mut scene = Scene::new().await;
    let _daemon = scene.daemon().await;
    scene.run("import", &import_job("c", clients(3))).await;
    let close = json!({"action": "close_case", "campaign": "c", "case_id": "c-2", "outcome": "promised to pay"});
    let result = scene.command(close.clone()).await;
    assert_eq!((&result["state"], &result["case"], &result["changed"]), (&"closed".into(), &2.into(), &true.into()));
    let closed = case(&mut scene, "c", 2).await;
    assert_eq!((&closed["closed_reason"], &closed["outcome"]), (&"operator".into(), &"promised to pay".into()));
    let mut other = close;
    other["outcome"] = "paid".into();
    assert_eq!(scene.command(other).await["changed"], false, "a closed case is left alone");
    assert_eq!(case(&mut scene, "c", 2).await, closed);
    let result = scene.command(json!({"action": "reopen_case", "campaign": "c", "case": 2})).await;
    assert_eq!((&result["state"], &result["changed"]), (&"open".into(), &true.into()));
    let opened = case(&mut scene, "c", 2).await;
    assert!(opened.get("closed_at").is_none() && opened.get("outcome").is_none(), "{opened}");
    case_audit(&mut scene, "c").await;
    let mut reader = scene.redis.connect().await;
    let event = wait::entry_where(&mut reader, "remesa:results", |entry| {
        entry.get::<String>("data").unwrap().contains("\"state\":\"closed\"")
    })
    .await;
    let event: Value = serde_json::from_str(&event.get::<String>("data").unwrap()).unwrap();
    assert_eq!((&event["type"], &event["id"], &event["reason"]), (&"case".into(), &"c-2".into(), &"operator".into()));
    for (command, refusal) in [
        (json!({"action": "close_case", "campaign": "c", "case": 9}), "unknown_case"),
        (json!({"action": "close_case", "campaign": "c", "case_id": "c-9"}), "unknown_case"),
        (json!({"action": "close_case", "campaign": "d", "case": 1}), "unknown_campaign"),
        (json!({"action": "close_case", "campaign": "c"}), "missing_field"),
        (json!({"action": "close_case", "campaign": "c", "case": 1, "case_id": "c-1"}), "conflicting_fields"),
        (json!({"action": "close_case", "campaign": "c", "case": 1, "outcome": ""}), "invalid_value"),
        (json!({"action": "reopen_case", "campaign": "c", "case": 1, "outcome": "x"}), "conflicting_fields"),
    ] {
        assert_eq!(scene.command_refused(command.clone()).await.0, refusal, "{command}");
    }
}

#[tokio::test]
async fn cases_are_looked_up_by_commands_and_over_http() {
    let mut scene = Scene::new().await;
    let daemon = scene.daemon().await;
    let mut rows = clients(120);
    rows[6]["labels"] = "vip;north".into();
    rows[6]["email"] = "Ana7@example.com".into();
    rows[7]["state"] = "closed".into();
    let mut job = import_job("c", rows);
    job["templates"] = json!([{"name": "reminder", "text": "Hola {{ first_name }}"}]);
    scene.run("import", &job).await;
    let numbers = |page: &Value| -> Vec<u64> {
        page["cases"].as_array().unwrap().iter().map(|case| case["case"]["number"].as_u64().unwrap()).collect()
    };
    let (_, page) = get(&daemon, "/campaigns/c/cases?after=100&limit=4").await;
    assert_eq!((numbers(&page), &page["next"]), (vec![101, 102, 103, 104], &104.into()));
    let (_, last) = get(&daemon, "/campaigns/c/cases?after=110").await;
    assert_eq!((numbers(&last).len(), &last["next"]), (10, &Value::Null));
    for (question, found) in [
        ("state=closed", vec![8]),
        ("label=vip", vec![7]),
        ("id=c-9", vec![9]),
        ("id=nobody", vec![]),
        ("contact=%2B34600000009", vec![9]),
        ("contact=ana7@EXAMPLE.com", vec![7]),
        ("active=true&limit=2&after=6", vec![7, 9]),
        ("order=3", vec![]),
    ] {
        let (status, page) = get(&daemon, &format!("/campaigns/c/cases?{question}")).await;
        assert_eq!((status, numbers(&page)), (200, found), "{question}");
    }
    let (_, one) = get(&daemon, "/campaigns/c/cases/7").await;
    let whole = json_of(&scene, &["campaign", "case", "c", "7", "--json"]).await;
    assert_eq!(whole["case"]["client"]["first_name"], "Ana 7");
    assert_eq!(one["case"]["client"], json!({"labels": ["vip", "north"]}), "nobody's name");
    assert_eq!(one["case"]["contacts"][0]["value"], "+34******007");
    assert_eq!(one["case"]["contacts"][1]["value"], "A***@example.com");
    assert_eq!(one["deliveries"], json!([]));
    for (path, fault) in [
        ("/campaigns/c/cases/121", (404, "unknown_case")),
        ("/campaigns/c/cases/x", (400, "invalid_value")),
        ("/campaigns/d/cases", (404, "unknown_campaign")),
        ("/campaigns/c/cases?lable=vip", (400, "unknown_field")),
    ] {
        let (status, answer) = get(&daemon, path).await;
        assert_eq!((status, answer["code"].as_str().unwrap()), fault, "{path}");
    }
    let (_, campaign) = get(&daemon, "/campaigns/c").await;
    assert_eq!((&campaign["cases"], &campaign["cases_by_state"]["closed"]), (&120.into(), &1.into()));
    let text = shown(&scene, &["campaign", "cases", "c", "--label", "vip"]).await;
    assert!(text.contains("+34600000007 and 1 more") && text.contains("vip, north"), "{text}");
    let lines = shown(&scene, &["campaign", "cases", "c", "--active", "--all", "--json"]).await;
    assert_eq!(lines.lines().count(), 119);
    let text = shown(&scene, &["campaign", "case", "c", "--id", "c-7"]).await;
    assert!(text.contains("Ana7@example.com") && text.contains("no run was to send to it"), "{text}");
    assert!(shown(&scene, &["campaign", "show", "c"]).await.contains("119 new, 1 closed"));
    assert!(shown(&scene, &["template", "list"]).await.contains("Hola {{ first_name }}"));
    assert_eq!(
        json_of(&scene, &["template", "show", "reminder", "--json"]).await["content"]["text"],
        "Hola {{ first_name }}"
    );
}

#[tokio::test]
async fn bm_24_cases_go_with_their_campaign_after_its_retention() {
    let mut scene = Scene::new().await;
    let daemon = scene.daemon().await;
    scene.run("import", &import_job("old", clients(501))).await;
    drop(daemon);
    let timeouts = Timeouts { connect: wait::DEADLINE, response: wait::DEADLINE };
    let store = Store::new(Connection::new(&scene.redis.url(), timeouts).unwrap(), "remesa");
    store.remove_campaign("old").await.unwrap();
    let left: Vec<String> = redis::cmd("KEYS").arg("remesa:{old}:*").query_async(&mut scene.db).await.unwrap();
    assert_eq!(left, ["remesa:{old}:import:imp-old"], "which goes by itself");
}

#[tokio::test]
async fn da_9_a_forgotten_persons_case_keeps_what_counts_and_nothing_else() {
    let mut scene = Scene::new().await;
    let _daemon = scene.daemon().await;
    let mut rows = clients(5);
    rows[2]["email"] = "ana3@example.com".into();
    rows[2]["id"] = phone(3).into();
    rows[3]["guardian"] = "600-000-003".into();
    scene.run("import", &import_job("a", rows.clone())).await;
    scene.run("import", &import_job("b", rows)).await;
    let note = scene.command(json!({"action": "forget", "contact": phone(3)})).await;
    assert_eq!((&note["erased"]["cases"], &note["erased"]["mentions"]), (&2.into(), &2.into()), "{note}");
    let left = case(&mut scene, "a", 3).await;
    assert_eq!((&left["id"], &left["state"]), (&"forgotten:3".into(), &"new".into()));
    for field in ["client", "vars", "replies"] {
        assert_eq!(left.get(field), None, "{field}");
    }
    let places: Vec<_> = left["contacts"].as_array().unwrap().iter().map(|contact| contact.get("value")).collect();
    assert_eq!(places, [None, None], "the places stay");
    assert!(left["forgotten_at"].is_number());
    let other = case(&mut scene, "b", 4).await;
    assert_eq!((other.get("vars"), &other["contacts"][0]["value"]), (None, &phone(4).into()));
    case_audit(&mut scene, "a").await;
    let digits = &phone(3)["+34".len()..];
    assert_eq!(grep::redis(&mut scene.db, digits).await, Vec::<String>::new());
    assert_eq!(grep::redis(&mut scene.db, "ana3@example.com").await, Vec::<String>::new());
    // A case that is named says whom to look for, and is forgotten in any case.
    let note = scene.command(json!({"action": "forget", "campaign": "a", "case_id": "c-5"})).await;
    assert_eq!((&note["erased"]["cases"], &note["case"]), (&2.into(), &"a/5".into()), "{note}");
    // An import does not bring the person back.
    let mut again = import_job("a", clients(5));
    again["id"] = "again".into();
    let result = scene.run("import", &again).await;
    assert_eq!(result["refused_by_code"], json!({"forgotten": 1}), "{result}");
    assert_eq!(case(&mut scene, "a", 5).await.get("client"), None);
}

#[tokio::test]
async fn da_9_a_row_of_an_import_that_waits_is_forgotten_in_its_place() {
    let mut scene = Scene::new().await;
    let _daemon = scene.daemon().await;
    let mut job = import_job("c", clients(3));
    job["at"] = (scene.now_ms().await + 3_600_000).into();
    scene.enqueue("import", &job).await;
    wait::field(&mut scene.db, "remesa:job:imp-c", "state", &["scheduled"]).await;
    let note = scene.command(json!({"action": "forget", "contact": phone(2)})).await;
    assert_eq!(note["erased"]["job_rows"], 1, "{note}");
    let payload: String = scene.db.hget("remesa:job:imp-c", "payload").await.unwrap();
    assert!(!payload.contains(&phone(2)["+34".len()..]));
}
