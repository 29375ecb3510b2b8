//! `remesa campaign list, show, orders, order, errors` and the commands, as a person types them.

use redis::AsyncCommands as _;
use serde_json::{Value, json};

use super::{ROWS, json_of, lines_of, november, refused, shown};
use crate::support::scene::{Scene, generate_job, order_key, people, send_job};

fn numbers(lines: &[Value]) -> Vec<u64> {
    lines.iter().map(|line| line["order"]["number"].as_u64().unwrap()).collect()
}

#[tokio::test]
async fn campaigns_are_listed_filtered_and_paged_behind_a_campaign() {
    let mut scene = Scene::new().await;
    let _daemon = scene.daemon().await;
    for name in ["nov-1", "nov-2", "dec-1", "nov-3"] {
        scene.run("generate", &generate_job(name, people(2))).await;
    }
    scene.command(json!({"action": "cancel", "campaign": "nov-2"})).await;
    let names = |list: Value| -> Vec<String> {
        let each = list.as_array().unwrap().iter();
        each.map(|campaign| campaign["campaign"].as_str().unwrap().to_owned()).collect()
    };
    let list = ["campaign", "list", "--json"];
    let with = |more: &[&'static str]| [&list[..], more].concat();
    assert_eq!(names(json_of(&scene, &list).await), ["nov-3", "dec-1", "nov-2", "nov-1"]);
    assert_eq!(names(json_of(&scene, &with(&["nov-*"])).await), ["nov-3", "nov-2", "nov-1"]);
    assert_eq!(names(json_of(&scene, &with(&["--state", "cancelled"])).await), ["nov-2"]);
    assert_eq!(names(json_of(&scene, &with(&["--limit", "2"])).await), ["nov-3", "dec-1"]);
    assert_eq!(names(json_of(&scene, &with(&["--limit", "2", "--after", "dec-1"])).await), ["nov-2", "nov-1"]);
    assert_eq!(names(json_of(&scene, &with(&["--offset", "3"])).await), ["nov-1"]);
    assert_eq!(names(json_of(&scene, &with(&["--since", "1h"])).await).len(), 4);
    assert!(names(json_of(&scene, &with(&["--since", "2999-01-01T00:00:00Z"])).await).is_empty());
    assert!(refused(&scene, &with(&["--after", "none"])).await.contains("no campaign \"none\""));
    let table = shown(&scene, &["campaign", "list"]).await;
    assert!(table.lines().next().unwrap().contains("CAMPAIGN") && table.contains("generated"), "{table}");
}

#[tokio::test]
async fn a_campaign_is_shown_with_its_totals_its_runs_and_its_refused_rows() {
    let (scene, _daemon) = november().await;
    let shown_json = json_of(&scene, &["campaign", "show", "nov", "--json"]).await;
    assert_eq!(shown_json["orders_by_state"], json!({"available": ROWS - 2, "paid": 1, "cancelled": 1}));
    assert_eq!(shown_json["deliveries_by_state"], json!({"sent": ROWS - 1, "skipped": 1}));
    assert_eq!(
        (&shown_json["runs"][0]["run"], &shown_json["runs"][0]["shown"]),
        (&"delivery@1".into(), &"finished".into())
    );
    assert_eq!(shown_json["settings"]["job"], "gen-nov");
    assert_eq!(shown_json["settings"]["source_digest"].as_str().unwrap().len(), 64);
    let text = shown(&scene, &["campaign", "show", "nov"]).await;
    assert!(text.starts_with("nov is delivered\n") && text.contains("[####################] 100 %"), "{text}");
    let errors = json_of(&scene, &["campaign", "errors", "nov", "--json"]).await;
    assert_eq!(errors["refused_by_code"], json!({"amount_not_an_integer": 1}));
    assert_eq!((&errors["rows"][0]["row"], &errors["next_offset"]), (&301.into(), &Value::Null));
    assert_eq!(json_of(&scene, &["campaign", "errors", "nov", "--code", "x", "--json"]).await["rows"], json!([]));
    assert!(refused(&scene, &["campaign", "show", "dec"]).await.contains("there is no campaign \"dec\""));
}

#[tokio::test]
async fn orders_are_filtered_by_what_became_of_them_and_paged_by_number() {
    let (scene, _daemon) = november().await;
    let orders = ["campaign", "orders", "nov", "--json"];
    let with = |more: &[&'static str]| [&orders[..], more].concat();
    assert_eq!(numbers(&lines_of(&scene, &orders).await), (1..=50).collect::<Vec<_>>());
    assert_eq!(numbers(&lines_of(&scene, &with(&["--after", "295"])).await), [296, 297, 298, 299, 300]);
    assert_eq!(lines_of(&scene, &with(&["--all"])).await.len(), ROWS);
    assert_eq!(numbers(&lines_of(&scene, &with(&["--state", "paid"])).await), [3]);
    assert_eq!(numbers(&lines_of(&scene, &with(&["--delivery", "skipped"])).await), [5]);
    assert_eq!(numbers(&lines_of(&scene, &with(&["--reason", "no_valid_contact"])).await), [5]);
    assert_eq!(numbers(&lines_of(&scene, &with(&["--reference", "A-11"])).await), [11, 12]);
    assert_eq!(numbers(&lines_of(&scene, &with(&["--contact", "+34 600 00 00 09"])).await), [9]);
    assert!(lines_of(&scene, &with(&["--delivery", "failed"])).await.is_empty());
    let table = shown(&scene, &["campaign", "orders", "nov", "--limit", "4"]).await;
    assert!(table.contains("10.03 EUR") && table.contains("+34600000003"), "{table}");
    assert!(refused(&scene, &["campaign", "orders", "nov", "--state", "payed"]).await.contains("possible values"));
}

#[tokio::test]
async fn an_order_is_found_by_number_key_reference_short_code_and_link() {
    let (mut scene, _daemon) = november().await;
    let stored = scene.order("nov", 17).await;
    let code = stored["short_code"].as_str().unwrap();
    let order = json_of(&scene, &["campaign", "order", "nov", "17", "--json"]).await;
    assert_eq!((&order["order"]["key"], &order["order"]["currency"]), (&"k-17".into(), &"EUR".into()));
    assert_eq!((&order["deliveries"][0]["state"], &order["deliveries"][0]["channel"]), (&"sent".into(), &"sms".into()));
    let link = order["link"].as_str().unwrap();
    assert!(link.ends_with(code), "{link}");
    for arguments in
        [&["nov", "--key", "k-17"][..], &["nov", "--reference", "A-17"], &[code], &[link], &["--short-code", code]]
    {
        let found = shown(&scene, &[&["campaign", "order"], arguments, &["--json"]].concat()).await;
        assert_eq!(serde_json::from_str::<Value>(&found).unwrap(), order, "{arguments:?}");
    }
    let both = lines_of(&scene, &["campaign", "order", "nov", "--reference", "A-11", "--json"]).await;
    assert_eq!(numbers(&both), [11, 12]);
    let none = refused(&scene, &["campaign", "order", "nov", "301"]).await;
    assert!(none.contains("nov has no order 301: its orders are numbered from 1 to 300"), "{none}");
    assert!(
        refused(&scene, &["campaign", "order", "nov", "--reference", "x"])
            .await
            .contains("no order with the reference")
    );
    assert!(refused(&scene, &["campaign", "order", "nov"]).await.contains("name the order"));
}

#[tokio::test]
async fn a_reference_is_found_without_an_index_by_looking_at_every_order() {
    let mut scene = Scene::new().await;
    let _daemon = scene.daemon().await;
    scene.run("generate", &generate_job("c", people(900))).await;
    assert!(!scene.campaign("c").await.contains_key("index_reference"));
    let found = lines_of(&scene, &["campaign", "order", "c", "--reference", "A-899", "--json"]).await;
    assert_eq!(numbers(&found), [899]);
}

#[tokio::test]
async fn an_index_entry_keeps_the_first_numbers_and_says_that_there_are_more() {
    let mut scene = Scene::new().await;
    scene.settings = scene.settings.set("orders.index_reference", "true");
    let _daemon = scene.daemon().await;
    let mut rows = people(30);
    for row in &mut rows {
        row["reference"] = "same".into();
    }
    scene.run("generate", &generate_job("c", rows)).await;
    let shard = crc32fast::hash(b"r:same") % 4096;
    let entry: String = scene.db.hget(format!("remesa:{{c}}:index:{shard}"), "r:same").await.unwrap();
    assert_eq!(entry, (1..=20).map(|n| n.to_string()).collect::<Vec<_>>().join(",") + "+");
    let all = lines_of(&scene, &["campaign", "order", "c", "--reference", "same", "--json"]).await;
    assert_eq!(all.len(), 30);
}

#[tokio::test]
async fn po_18_an_available_order_past_its_time_shows_expired_before_the_sweeper_came() {
    let (mut scene, _daemon) = november().await;
    let past = scene.now_ms().await - 1;
    scene.expire_at("nov", 20..=21, past).await;
    let expired = lines_of(&scene, &["campaign", "orders", "nov", "--state", "expired", "--json"]).await;
    assert_eq!(numbers(&expired), [20, 21]);
    let text: String = scene.db.get(order_key("nov", 20)).await.unwrap();
    assert!(text.starts_with("{\"state\":\"available\""), "{text}");
}

#[tokio::test]
async fn po_20_what_waited_in_a_cancelled_run_shows_skipped_and_what_was_sent_shows_sent() {
    let mut scene = Scene::with("in_flight = 4\nrate_per_second = 20\n", |_| {}).await;
    let _daemon = scene.daemon().await;
    scene.run("generate", &send_job("c", people(200))).await;
    scene.counted("c", "sent", 5).await;
    let done = shown(&scene, &["campaign", "cancel", "c"]).await;
    assert!(done.contains("the campaign c is cancelled"), "{done}");
    crate::support::wait::field(&mut scene.db, "remesa:{c}:run:delivery@1", "sending", &["0"]).await;
    let skipped = lines_of(&scene, &["campaign", "orders", "c", "--delivery", "skipped", "--all", "--json"]).await;
    let sent = lines_of(&scene, &["campaign", "orders", "c", "--delivery", "sent", "--all", "--json"]).await;
    assert_eq!(skipped.len() + sent.len(), 200);
    assert!(sent.len() >= 5);
    assert!(skipped.iter().all(|order| order["deliveries"][0]["reason"] == "cancelled"));
    let counted = json_of(&scene, &["campaign", "show", "c", "--json"]).await;
    assert_eq!(counted["deliveries_by_state"]["skipped"], skipped.len());
}

#[tokio::test]
async fn da_7_a_command_in_the_wrong_state_is_refused_with_state_and_what_is_allowed() {
    let (scene, _daemon) = november().await;
    let told = refused(&scene, &["campaign", "pause", "nov"]).await;
    assert!(told.contains("is delivered: pause is not allowed; allowed: cancel"), "{told}");
    let told = refused(&scene, &["campaign", "resume", "nov", "--run", "delivery@1"]).await;
    assert!(told.contains("is finished: resume is not allowed; allowed: retry"), "{told}");
    let told = shown(&scene, &["campaign", "retry", "nov"]).await;
    assert!(told.contains("0 messages queued again"), "{told}");
}
