//! Dunning, where both halves meet: a case carries its payment order, and the reminder says what is due and where.

use serde_json::{Value, json};

use super::{message, outcome, person, put_cases, run_is, send, texts};
use crate::support::scene::{Scene, generate_job, people, phone};

/// Orders 1 to 4, and cases 1 to 4 that carry them in reverse; case 5 carries none.
async fn debts(scene: &mut Scene) {
    scene.run("generate", &generate_job("c", people(4))).await;
    let orders = scene.campaign("c").await;
    let with = |n: usize| {
        let mut case = person(n);
        if n < 5 {
            case["order"] = (5 - n).into();
        }
        case
    };
    put_cases(scene, "c", &(1..=5).map(with).collect::<Vec<Value>>()).await;
    assert_eq!(scene.campaign("c").await["next"], orders["next"]);
}

#[tokio::test]
async fn a_reminder_says_what_is_due_and_goes_only_to_those_whose_order_can_still_be_paid() {
    let mut scene = Scene::new().await;
    let _daemon = scene.daemon().await;
    debts(&mut scene).await;
    scene.command(json!({"action": "pause", "channel": "sms"})).await;
    let text =
        "{{ first_name }}: {{ amount }} {{ currency }} {{ reference }} antes de {{ expires_at }} en {{ url }} ok";
    scene.run("send", &message("c", &json!({"text": text}))).await;
    scene.command(json!({"action": "order_event", "campaign": "c", "order": 4, "event": "paid"})).await;
    scene.command(json!({"action": "order_event", "campaign": "c", "order": 3, "event": "cancelled"})).await;
    let past = scene.now_ms().await - 1;
    scene.expire_at("c", 2..=2, past).await;
    scene.command(json!({"action": "resume", "channel": "sms"})).await;
    let run = run_is(&mut scene, "c", "m", "finished").await;
    assert_eq!((run["sent"].as_str(), run["skipped"].as_str()), ("1", "4"));
    for (n, reason) in [("1", "order_paid"), ("2", "order_cancelled"), ("3", "order_expired"), ("5", "no_order")] {
        assert_eq!(outcome(&mut scene, "c", n).await, ("k".into(), 1, reason.into()));
    }
    let order = scene.order("c", 1).await;
    let link = format!("{}?p={}", scene.campaign("c").await["link_base"], order["short_code"].as_str().unwrap());
    let sent = texts(&scene, &phone(4)).remove(0);
    assert!(
        sent.starts_with("Ana 4: 10.01 EUR A-1 antes de 20") && sent.ends_with(&format!(" en {link} ok")),
        "{sent}"
    );
}

#[tokio::test]
async fn a_message_that_says_nothing_of_an_order_asks_for_none() {
    let mut scene = Scene::new().await;
    let _daemon = scene.daemon().await;
    debts(&mut scene).await;
    scene.command(json!({"action": "order_event", "campaign": "c", "order": 4, "event": "paid"})).await;
    assert_eq!(send(&mut scene, "c", &json!({})).await["sent"], "5");
}

#[tokio::test]
async fn a_case_without_an_order_may_bring_what_the_message_says_itself() {
    let mut scene = Scene::new().await;
    let _daemon = scene.daemon().await;
    let mut own = person(1);
    own["vars"] = json!({"amount": "15.00"});
    put_cases(&mut scene, "c", &[own, person(2)]).await;
    let run = send(&mut scene, "c", &json!({"text": "Debe {{ amount }}"})).await;
    assert_eq!((run["sent"].as_str(), run["failed"].as_str()), ("1", "1"));
    assert_eq!(texts(&scene, &phone(1)), ["Debe 15.00"]);
    assert_eq!(outcome(&mut scene, "c", "2").await.2, "missing_variable:amount");
}
