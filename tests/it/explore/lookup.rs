//! The look-up over HTTP: the JSON of the commands, faults with code and status, nobody's number whole.

use serde_json::{Value, json};

use super::{json_of, november};
use crate::support::daemon::Daemon;
use crate::support::scene::{Scene, generate_job, people, phone};

async fn get(daemon: &Daemon, path: &str) -> (u16, Value) {
    let response = reqwest::get(format!("http://{}{path}", daemon.http().await)).await.unwrap();
    let (status, text) = (response.status().as_u16(), response.text().await.unwrap());
    (status, serde_json::from_str(&text).unwrap_or_else(|_| panic!("{path}: {text}")))
}

async fn code(daemon: &Daemon, path: &str) -> (u16, String) {
    let (status, fault) = get(daemon, path).await;
    assert!(fault["message"].as_str().is_some_and(|message| !message.is_empty()), "{path}: {fault}");
    (status, fault["code"].as_str().unwrap().to_owned())
}

fn numbers(page: &Value) -> Vec<u64> {
    page["orders"].as_array().unwrap().iter().map(|order| order["order"]["number"].as_u64().unwrap()).collect()
}

#[tokio::test]
async fn campaigns_and_orders_are_looked_up_in_the_shape_of_the_commands() {
    let (scene, daemon) = november().await;
    let (_, campaigns) = get(&daemon, "/campaigns").await;
    assert_eq!(campaigns["campaigns"], json_of(&scene, &["campaign", "list", "--json"]).await);
    let (_, campaign) = get(&daemon, "/campaigns/nov").await;
    assert_eq!(campaign, json_of(&scene, &["campaign", "show", "nov", "--json"]).await);
    let (_, page) = get(&daemon, "/campaigns/nov/orders?after=290&limit=4").await;
    assert_eq!((numbers(&page), &page["next"]), (vec![291, 292, 293, 294], &294.into()));
    let (_, last) = get(&daemon, "/campaigns/nov/orders?after=294").await;
    assert_eq!((numbers(&last).len(), &last["next"]), (6, &Value::Null));
    let (_, order) = get(&daemon, "/campaigns/nov/orders/17").await;
    let mut whole = json_of(&scene, &["campaign", "order", "nov", "17", "--json"]).await;
    let short_code = whole["order"]["short_code"].as_str().unwrap().to_owned();
    assert_eq!(get(&daemon, &format!("/orders/{short_code}")).await, (200, order.clone()));
    whole["order"].as_object_mut().unwrap().remove("vars");
    whole["order"]["contact"] = "+34******017".into();
    assert_eq!(order, whole);
    for (question, found) in [
        ("state=paid", vec![3]),
        ("delivery=skipped&reason=no_valid_contact", vec![5]),
        ("key=k-9", vec![9]),
        ("reference=A-11", vec![11, 12]),
        ("reference=A-11&state=paid", vec![]),
        ("contact=%2B34600000009", vec![9]),
    ] {
        let (status, page) = get(&daemon, &format!("/campaigns/nov/orders?{question}")).await;
        assert_eq!((status, numbers(&page)), (200, found), "{question}");
    }
}

#[tokio::test]
async fn a_question_that_cannot_be_answered_gets_a_code_and_its_status() {
    let mut scene = Scene::new().await;
    let daemon = scene.daemon().await;
    scene.run("generate", &generate_job("c", people(3))).await;
    for (path, status, expected) in [
        ("/campaigns/none", 404, "unknown_campaign"),
        ("/campaigns?after=none", 404, "unknown_campaign"),
        ("/campaigns/none/orders", 404, "unknown_campaign"),
        ("/campaigns/c/orders/4", 404, "unknown_order"),
        ("/campaigns/c/orders/0", 404, "unknown_order"),
        ("/campaigns/c/orders/x", 400, "invalid_value"),
        ("/campaigns/-/orders", 400, "invalid_name"),
        ("/campaigns/c/orders?stat=paid", 400, "unknown_field"),
        ("/campaigns/c/orders?state=payed", 400, "invalid_value"),
        ("/campaigns/c/orders?limit=501", 400, "invalid_value"),
        ("/campaigns/c/orders?after=-1", 400, "invalid_value"),
        ("/campaigns/c/orders?after=1&after=2", 400, "duplicate_field"),
        ("/campaigns/c/orders?reference=A-1", 409, "not_indexed"),
        ("/orders/aB3dE6gH9k", 404, "unknown_order"),
        ("/orders/x", 400, "invalid_short_code"),
    ] {
        assert_eq!(code(&daemon, path).await, (status, expected.to_owned()), "{path}");
    }
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/lookup.md")).unwrap();
    for code in ["unknown_campaign", "unknown_order", "invalid_value", "not_indexed", "redis_unavailable"] {
        assert!(page.contains(&format!("`{code}`")), "docs/lookup.md does not name {code}");
    }
}

#[tokio::test]
async fn da_9_contacts_are_masked_and_variables_left_out_unless_the_configuration_shows_them() {
    let mut scene = Scene::new().await;
    let daemon = scene.daemon().await;
    scene.run("generate", &generate_job("c", people(3))).await;
    let (_, page) = get(&daemon, "/campaigns/c/orders").await;
    assert!(!page.to_string().contains(&phone(1)) && !page.to_string().contains("Ana"), "{page}");
    scene.settings = scene.settings.set("http.personal_data", "whole").set("instance", "open");
    let open = scene.daemon().await;
    let (_, page) = get(&open, "/campaigns/c/orders").await;
    assert_eq!(page["orders"][0]["order"]["contact"], phone(1));
    assert_eq!(page["orders"][0]["order"]["vars"], json!({"name": "Ana 1"}));
}

#[tokio::test]
async fn without_redis_the_look_up_says_so() {
    let mut scene = Scene::new().await;
    let daemon = scene.daemon().await;
    scene.redis.kill();
    assert_eq!(code(&daemon, "/campaigns").await, (503, "redis_unavailable".to_owned()));
    scene.redis.restart().await;
}
