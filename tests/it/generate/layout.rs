//! The key layout, read back as another system reads it: by arithmetic and with plain commands.

use redis::AsyncCommands as _;
use serde_json::Value;

use crate::support::scene::{Scene, order_key, people, send_job};

#[tokio::test]
async fn a_reader_finds_every_order_by_number_by_key_and_by_link() {
    let mut scene = Scene::new().await;
    let _daemon = scene.daemon().await;
    scene.run("generate", &send_job("nov-dues", people(300))).await;
    scene.finished("nov-dues").await;
    let mut codes = std::collections::HashSet::new();
    for n in [1, 2, 127, 128, 129, 255, 256, 300] {
        let text: String = scene.db.get(order_key("nov-dues", n)).await.unwrap();
        assert!(text.starts_with("{\"state\":\"available\",\"expires_at\":1"), "{text}");
        let order: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(order["number"], n);
        let field = format!("o:{}", order["key"].as_str().unwrap());
        let shard = crc32fast::hash(field.as_bytes()) % 4096;
        let number: u64 = scene.db.hget(format!("remesa:{{nov-dues}}:index:{shard}"), &field).await.unwrap();
        assert_eq!(number, n);
        let code = order["short_code"].as_str().unwrap().to_owned();
        assert!(code.len() == 10 && code.chars().all(|c| c.is_ascii_alphanumeric()), "{code}");
        let (first, rest) = code.split_at(3);
        let target: String = scene.db.hget(format!("remesa:links:{first}"), rest).await.unwrap();
        assert_eq!(target, format!("nov-dues/{n}"));
        assert!(codes.insert(code));
    }
}

#[tokio::test]
async fn the_ledger_page_of_a_recipient_is_arithmetic_and_its_cell_is_five_values() {
    let mut scene = Scene::new().await;
    let _daemon = scene.daemon().await;
    let from = scene.now_ms().await;
    scene.run("generate", &send_job("c", people(300))).await;
    scene.finished("c").await;
    for (n, page, field) in [(1, 0, 1), (127, 0, 127), (128, 1, 0), (129, 1, 1), (256, 2, 0), (300, 2, 44)] {
        let cell: String = scene.db.hget(format!("remesa:{{c}}:run:delivery@1:ledger:{page}"), field).await.unwrap();
        let values: Vec<&str> = cell.splitn(5, ',').collect();
        assert_eq!((values[0], values[1], values[3]), ("s", "1", ""));
        assert!((from..=scene.now_ms().await).contains(&values[2].parse().unwrap()), "{cell}");
        let sent = scene.sandbox.inbox(Some(&crate::support::scene::phone(n)), 0, 2);
        assert_eq!(sent.iter().map(|message| message.id.as_str()).collect::<Vec<_>>(), [values[4]]);
    }
    let lengths: Vec<u64> = {
        let mut lengths = Vec::new();
        for page in 0..4 {
            lengths.push(scene.db.hlen(format!("remesa:{{c}}:run:delivery@1:ledger:{page}")).await.unwrap());
        }
        lengths
    };
    assert_eq!(lengths, [127, 128, 45, 0]);
}

#[tokio::test]
async fn a_campaign_is_listed_with_its_settings_its_runs_and_its_totals() {
    let mut scene = Scene::new().await;
    let _daemon = scene.daemon().await;
    let mut job = send_job("c", people(3));
    (job["name"], job["country"], job["expires_in"]) = ("November dues".into(), "ES".into(), "10m".into());
    scene.run("generate", &job).await;
    scene.campaign_is("c", "delivered").await;
    assert_eq!(scene.db.zrange::<_, Vec<String>>("remesa:campaigns", 0, -1).await.unwrap(), ["c"]);
    assert_eq!(scene.db.zrange::<_, Vec<String>>("remesa:{c}:runs", 0, -1).await.unwrap(), ["delivery@1"]);
    let campaign = scene.campaign("c").await;
    for (field, value) in [
        ("name", "November dues"),
        ("category", "transactional"),
        ("payment_point", "pp-main"),
        ("link_base", "https://pay.example/"),
        ("delivery", "now"),
        ("country", "ES"),
        ("currency", "EUR"),
        ("expires_in_seconds", "600"),
        ("orders", "3"),
        ("orders:available", "3"),
        ("deliveries:total", "3"),
        ("deliveries:sent", "3"),
        ("deliveries:queued", "0"),
        ("deliveries:sending", "0"),
    ] {
        assert_eq!(campaign.get(field).map(String::as_str), Some(value), "{field}");
    }
    // What all orders share stands in the campaign, not in each order.
    let order = scene.order("c", 1).await;
    assert!(order.get("currency").is_none() && order.get("payment_point").is_none(), "{order}");
}

#[tokio::test]
async fn all_keys_of_a_campaign_are_in_one_cluster_slot() {
    let mut scene = Scene::new().await;
    let _daemon = scene.daemon().await;
    scene.run("generate", &send_job("c", people(20))).await;
    scene.campaign_is("c", "delivered").await;
    let keys: Vec<String> = scene.db.keys("*").await.unwrap();
    let of_campaign: Vec<&String> =
        keys.iter().filter(|key| key.contains("delivery@1") || key.contains(":order:")).collect();
    assert!(of_campaign.len() >= 22, "{of_campaign:?}");
    assert!(of_campaign.iter().all(|key| key.starts_with("remesa:{c}:")), "{of_campaign:?}");
    assert!(keys.iter().all(|key| key.starts_with("remesa:")), "{keys:?}");
}
