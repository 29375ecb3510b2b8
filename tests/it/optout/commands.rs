//! The commands `opt_out` and `opt_in`: lists of the whole company.

use redis::AsyncCommands as _;
use serde_json::json;

use super::events;
use crate::support::scene::{Scene, generate_job, people, phone};

#[tokio::test]
async fn bm_18_a_command_puts_addresses_on_a_list_and_takes_them_off_and_says_what_changed() {
    let mut scene = Scene::new().await;
    let daemon = scene.daemon().await;
    let out =
        json!({"action": "opt_out", "contacts": ["600 12 34 56", "Ana@Example.com", "+34600123456"], "country": "ES"});
    let first = scene.command(out.clone()).await;
    assert_eq!((&first["list"], &first["changed"]), (&json!("opted_out"), &json!(2)), "{first}");
    assert_eq!(scene.command(out).await["changed"], 0);
    assert!(scene.db.sismember::<_, _, bool>("remesa:optout:phone", "+34600123456").await.unwrap());
    assert!(scene.db.sismember::<_, _, bool>("remesa:optout:email", "ana@example.com").await.unwrap());
    let block = json!({"action": "opt_out", "list": "blocked", "contact": "+34600123456"});
    assert_eq!(scene.command(block).await["changed"], 1);
    assert!(scene.db.sismember::<_, _, bool>("remesa:blocked:phone", "+34600123456").await.unwrap());
    let back = scene.command(json!({"action": "opt_in", "contact": "ANA@example.com"})).await;
    assert_eq!(back["changed"], 1, "{back}");
    assert!(!scene.db.sismember::<_, _, bool>("remesa:optout:email", "ana@example.com").await.unwrap());
    let told = events(&mut scene, "opt_out").await;
    assert_eq!(told.len(), 3, "{told:?}");
    assert!(told.iter().all(|event| event["by"] == "job" && !event.to_string().contains("600123456")), "{told:?}");
    assert!(!daemon.log().contains("600123456"));
}

#[tokio::test]
async fn bm_18_an_order_tells_whom_a_command_opts_out_and_what_is_no_address_is_refused() {
    let mut scene = Scene::new().await;
    let _daemon = scene.daemon().await;
    scene.run("generate", &generate_job("c", people(3))).await;
    let by_key = json!({"action": "opt_out", "campaign": "c", "key": "k-2"});
    assert_eq!(scene.command(by_key).await["changed"], 1);
    assert!(scene.db.sismember::<_, _, bool>("remesa:optout:phone", phone(2)).await.unwrap());
    assert_eq!(events(&mut scene, "opt_out").await[0]["order"], 2);
    for (job, code) in [
        (json!({"action": "opt_out", "campaign": "c", "order": 9}), "unknown_order"),
        (json!({"action": "opt_out", "contact": "600123456"}), "invalid_value"),
        (json!({"action": "opt_out", "contacts": ["+34600123456", "a@b\r\nBcc: c@d"]}), "invalid_value"),
        (json!({"action": "opt_out", "contacts": []}), "invalid_value"),
        (json!({"action": "opt_in", "list": "all", "contact": "+34600123456"}), "invalid_value"),
    ] {
        let (refused, sentence) = scene.command_refused(job.clone()).await;
        assert_eq!(refused, code, "{job}: {sentence}");
        assert!(!sentence.contains("600123456"), "{sentence}");
    }
}
