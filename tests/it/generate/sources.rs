//! Rows from a Redis list, an address, gzip; a file that only another daemon has; a kill in the middle of each.

use flate2::Compression;
use flate2::write::GzEncoder;
use redis::AsyncCommands as _;
use serde_json::{Value, json};
use std::io::Write as _;

use crate::support::daemon::{Daemon, Settings};
use crate::support::gate::{Gate, Side};
use crate::support::ledger::campaign_audit;
use crate::support::provider::{Act, Receiver, answer, files_from};
use crate::support::scene::{Scene, codes, errors, generate_from};
use crate::support::wait;

const CSV: &[u8] = "Clave;Importe;Móvil\nk-1;100;600000001\nk-2;200;600000002\n".as_bytes();

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut packer = GzEncoder::new(Vec::new(), Compression::fast());
    packer.write_all(content).unwrap();
    packer.finish().unwrap()
}

/// A file of `count` rows, every tenth of them refused.
fn csv(count: usize) -> String {
    let row = |n: usize| {
        format!("k-{n},{},A-{n}\n", if n.is_multiple_of(10) { "12,5".replace(',', ".") } else { n.to_string() })
    };
    "key,amount,reference\n".to_owned() + &(1..=count).map(row).collect::<String>()
}

/// Nothing of a copy is left in the state folder.
fn no_copy_left(settings: &Settings) {
    let folder = settings.state_dir().join("staging");
    let left: Vec<_> = std::fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path()).collect();
    assert!(left.is_empty(), "{left:?}");
}

#[tokio::test]
async fn a_redis_list_is_read_and_never_consumed() {
    let mut scene = Scene::new().await;
    let _daemon = scene.daemon().await;
    for row in [r#"{"importe":100,"movil":"600000001"}"#, "nonsense", "", "{\"amount\":\n 7, \"key\": \"a\"}"] {
        let _: u64 = scene.db.rpush("crm:dues", row).await.unwrap();
    }
    let result = scene.run("generate", &generate_from("c", json!({"list": "crm:dues"}))).await;
    assert_eq!((&result["orders"], &result["refused"]), (&2.into(), &2.into()));
    assert_eq!(codes(&errors(&mut scene, "c").await), [(2, "not_json"), (3, "not_an_object")]);
    assert_eq!(scene.order("c", 1).await["contact"], "+34600000001");
    assert_eq!(scene.order("c", 2).await["key"], "a");
    assert_eq!(scene.db.llen::<_, u64>("crm:dues").await.unwrap(), 4);
    no_copy_left(&scene.settings);
    campaign_audit(&mut scene.db, "c").await;
}

#[tokio::test]
async fn a_list_that_is_none_is_refused_with_its_reason() {
    let mut scene = Scene::new().await;
    scene.settings = scene.settings.set("sources.max_rows", "2");
    let _daemon = scene.daemon().await;
    let () = scene.db.set("crm:text", "x").await.unwrap();
    let _: u64 = scene.db.rpush("crm:long", &["{}", "{}", "{}"]).await.unwrap();
    let cases = [
        ("crm:nothing", "source_empty"),
        ("crm:text", "source_unsupported"),
        ("crm:long", "too_many_rows"),
        ("remesa:rejected", "invalid_value"),
    ];
    for (n, (key, code)) in cases.into_iter().enumerate() {
        let campaign = format!("c{n}");
        scene.enqueue("generate", &generate_from(&campaign, json!({"list": key}))).await;
        let (refused, sentence) = scene.refused(&format!("gen-{campaign}")).await;
        assert_eq!(refused, code, "{sentence}");
        assert!(scene.campaign(&campaign).await.is_empty());
    }
    no_copy_left(&scene.settings);
}

#[tokio::test]
async fn an_address_is_fetched_plain_or_packed_and_by_its_name_or_its_kind() {
    let mut scene = Scene::new().await;
    let answers = [
        answer("application/octet-stream", CSV),
        answer("application/gzip", &gzip(CSV)),
        answer("text/csv; charset=utf-8", CSV),
        answer("application/x-ndjson", b"{\"amount\":1}\n{\"amount\":2}\n"),
        answer("text/plain", CSV),
    ];
    let files = Receiver::start(answers.map(Act::Write));
    scene.settings = files_from(scene.settings, &files);
    let _daemon = scene.daemon().await;
    let froms = [
        json!({"url": format!("{}/nov.csv?token=hush", files.url())}),
        json!({"url": format!("{}/nov.csv.gz", files.url())}),
        json!({"url": format!("{}/export", files.url())}),
        json!({"url": format!("{}/export", files.url())}),
        json!({"url": format!("{}/export", files.url()), "format": "csv"}),
    ];
    for (n, from) in froms.into_iter().enumerate() {
        let result = scene.run("generate", &generate_from(&format!("c{n}"), from)).await;
        assert_eq!((&result["orders"], &result["refused"]), (&2.into(), &0.into()), "{n}");
    }
    assert_eq!(files.requests()[0].header("accept-encoding"), Some("identity"));
    no_copy_left(&scene.settings);
}

#[tokio::test]
async fn a_redirect_is_followed_inside_the_list_and_nowhere_else() {
    let mut scene = Scene::new().await;
    let to = |place: &str| Act::Reply { status: 302, headers: vec![format!("Location: {place}")], body: String::new() };
    let files =
        Receiver::start([to("/elsewhere.csv"), Act::Write(answer("text/csv", CSV)), to("http://localhost/x.csv")]);
    scene.settings = files_from(scene.settings, &files);
    let _daemon = scene.daemon().await;
    let from = json!({"url": format!("{}/nov.csv", files.url())});
    assert_eq!(scene.run("generate", &generate_from("inside", from.clone())).await["orders"], 2);
    scene.enqueue("generate", &generate_from("outside", from)).await;
    let (code, sentence) = scene.refused("gen-outside").await;
    assert_eq!(code, "url_not_allowed");
    assert!(sentence.contains("localhost") && sentence.contains("sources.url_hosts"), "{sentence}");
}

#[tokio::test]
async fn an_inner_address_is_not_connected_to_unless_it_is_allowed() {
    let mut scene = Scene::new().await;
    let files = Receiver::start([Act::Write(answer("text/csv", CSV))]);
    let port = files.url().rsplit(':').next().unwrap().to_owned();
    scene.settings = files_from(scene.settings, &files)
        .set("sources.url_allow_private", "false")
        .set("sources.url_hosts", &format!("127.0.0.1:{port},localhost:{port}"));
    let _daemon = scene.daemon().await;
    for (campaign, host) in [("literal", "127.0.0.1"), ("name", "localhost"), ("number", "2130706433")] {
        let url = format!("http://{host}:{port}/nov.csv");
        scene.enqueue("generate", &generate_from(campaign, json!({"url": url}))).await;
        let (code, sentence) = scene.refused(&format!("gen-{campaign}")).await;
        assert_eq!(code, "url_not_allowed", "{sentence}");
        assert!(sentence.contains("sources.url_allow_private"), "{sentence}");
    }
    assert!(files.requests().is_empty());
}

#[tokio::test]
async fn a_file_that_only_another_daemon_has_is_generated_there() {
    let mut scene = Scene::new().await;
    let _without = scene.daemon().await;
    let there = scene.settings.instance("there");
    let spool = there.state_dir().join("spool");
    std::fs::create_dir_all(&spool).unwrap();
    std::fs::write(spool.join("nov.csv"), CSV).unwrap();
    let there = there.set("sources.spool_dir", spool.to_str().unwrap());
    let with = Daemon::start(&there).await;
    let mut expected = Vec::new();
    for n in 0..4 {
        let campaign = format!("c{n}");
        scene.enqueue("generate", &generate_from(&campaign, json!({"file": "nov.csv"}))).await;
        expected.push(campaign);
    }
    for campaign in expected {
        assert_eq!(scene.done(&format!("gen-{campaign}")).await["orders"], 2);
    }
    // What nobody has is refused once both have looked.
    scene.enqueue("generate", &generate_from("nowhere", json!({"file": "dec.csv"}))).await;
    let (code, sentence) = scene.refused("gen-nowhere").await;
    assert_eq!(code, "source_missing");
    assert!(sentence.contains("2 daemons"), "{sentence}");
    drop(with);
}

#[tokio::test]
async fn a_source_that_changes_between_acceptance_and_its_time_is_not_generated() {
    let mut scene = Scene::new().await;
    let other = [CSV, b"k-3;300;600000003\n"].concat();
    let files = Receiver::start([Act::Write(answer("text/csv", CSV)), Act::Write(answer("text/csv", &other))]);
    scene.settings = files_from(scene.settings, &files);
    let _daemon = scene.daemon().await;
    let mut job = generate_from("c", json!({"url": format!("{}/nov.csv", files.url())}));
    job["delivery"] = json!({"at": scene.now_ms().await + 1500});
    job["channel"] = "sms".into();
    job["message"] = json!({"text": "Hola:", "url": "end"});
    scene.enqueue("generate", &job).await;
    let (code, sentence) = scene.refused("gen-c").await;
    assert_eq!(code, "source_changed", "{sentence}");
    let campaign = scene.campaign("c").await;
    assert_eq!((campaign["state"].as_str(), campaign["orders"].as_str()), ("failed", "0"));
    no_copy_left(&scene.settings);
}

/// A daemon is killed in its fourth slice; another one of the same instance, or on another machine, goes on.
async fn killed_in_the_middle(
    prepare: impl AsyncFnOnce(&mut Scene) -> Value,
    side: Side,
    elsewhere: bool,
) -> (Scene, Daemon) {
    const ROWS: usize = 200;
    let mut scene = Scene::new().await;
    let gate = Gate::before(&scene.redis);
    scene.settings = Settings::with_redis_url(&gate.url()).toml("[sources]\nslice_rows = 20\n");
    let from = prepare(&mut scene).await;
    let mut first = scene.daemon().await;
    gate.catch(&mut scene.db, "write_orders", side, 3).await;
    scene.enqueue("generate", &generate_from("c", from)).await;
    gate.caught("the fourth slice").await;
    first.kill();
    let mut spools = vec![scene.settings.spool_dir()];
    if elsewhere {
        let there = scene.settings.instance("elsewhere");
        spools.push(there.state_dir().join("spool"));
        scene.settings = there.set("sources.spool_dir", spools[1].to_str().unwrap());
    }
    let second = scene.daemon().await;
    let result = scene.done("gen-c").await;
    assert_eq!((&result["orders"], &result["refused"]), (&(ROWS - ROWS / 10).into(), &(ROWS / 10).into()));
    let listed = errors(&mut scene, "c").await;
    let lines: Vec<u64> = codes(&listed).iter().map(|(line, _)| *line).collect();
    assert_eq!(lines.len(), ROWS / 10);
    assert!(lines.windows(2).all(|pair| pair[0] < pair[1]), "{lines:?}");
    for n in [1, 60, 120, 180] {
        assert!(scene.order("c", n).await["key"].as_str().unwrap().starts_with("k-"));
    }
    // The error file has each of them once, though the slice was begun twice.
    let parts = match result["error_file_parts"].as_array() {
        Some(parts) => parts.clone(),
        None => vec![json!({"file": result["error_file"], "bytes": u64::MAX})],
    };
    assert_eq!(parts.len(), spools.len());
    let mut rows = 0;
    for (part, spool) in parts.iter().zip(&spools) {
        let text = std::fs::read(spool.join(part["file"].as_str().unwrap())).unwrap();
        let valid = text.len().min(usize::try_from(part["bytes"].as_u64().unwrap()).unwrap());
        rows += String::from_utf8_lossy(&text[..valid]).matches("amount_not_an_integer").count();
    }
    assert_eq!(rows, ROWS / 10);
    campaign_audit(&mut scene.db, "c").await;
    (scene, second)
}

#[tokio::test]
async fn a_kill_in_the_middle_of_a_packed_file_goes_on_where_it_was() {
    killed_in_the_middle(
        async |scene| {
            scene.settings.spool("nov.csv.gz", gzip(csv(200).as_bytes()));
            json!({"file": "nov.csv.gz"})
        },
        Side::Before,
        false,
    )
    .await;
}

#[tokio::test]
async fn a_kill_in_the_middle_of_a_list_goes_on_where_it_was_on_another_daemon_too() {
    let (scene, _daemon) = killed_in_the_middle(
        async |scene| {
            for n in 1..=200 {
                let amount = if n % 10 == 0 { json!(12.5) } else { json!(n) };
                let row = json!({"key": format!("k-{n}"), "amount": amount}).to_string();
                let _: u64 = scene.db.rpush("crm:dues", row).await.unwrap();
            }
            json!({"list": "crm:dues"})
        },
        Side::Before,
        true,
    )
    .await;
    no_copy_left(&scene.settings);
}

#[tokio::test]
async fn a_kill_in_the_middle_of_an_address_goes_on_with_the_copy() {
    let files = Receiver::start([Act::Write(answer("text/csv", csv(200).as_bytes())), Act::Silence]);
    let (scene, _daemon) = killed_in_the_middle(
        async |scene| {
            let settings = std::mem::replace(&mut scene.settings, Settings::with_redis_url("unix:///nowhere"));
            scene.settings = files_from(settings, &files);
            json!({"url": format!("{}/nov", files.url())})
        },
        Side::After,
        false,
    )
    .await;
    assert_eq!(files.requests().len(), 1);
    no_copy_left(&scene.settings);
}

#[tokio::test]
async fn a_drain_does_not_wait_for_the_first_pass_over_a_huge_file() {
    let mut scene = Scene::new().await;
    scene.settings = scene.settings.set("sources.max_bytes", "1099511627776");
    scene.settings.spool("huge.ndjson", "{\"amount\":1}\n");
    let path = scene.settings.spool_dir().join("huge.ndjson");
    std::fs::File::options().write(true).open(path).unwrap().set_len(1 << 38).unwrap();
    let mut daemon = scene.daemon().await;
    scene.enqueue("generate", &generate_from("c", json!({"file": "huge.ndjson"}))).await;
    wait::field(&mut scene.db, "remesa:job:gen-c", "begun", &["1"]).await;
    // Other queues and the other permit of this one go on meanwhile.
    scene.run("generate", &crate::support::scene::generate_job("d", crate::support::scene::people(3))).await;
    scene.command(json!({"action": "pause", "channel": "sms"})).await;
    daemon.term();
    assert_eq!(daemon.exit_code().await, Some(0));
    assert!(daemon.log().contains("drained"), "{}", daemon.log());
}
