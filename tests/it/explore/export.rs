//! Exports: by command and by job, as CSV and as JSON lines, while the campaign runs, over a death of the daemon.

use std::collections::BTreeMap;
use std::io::Read as _;

use remesa::store::script::digest;
use serde_json::{Value, json};

use super::{ROWS, json_of, november, refused, run, shown};
use crate::support::daemon::Daemon;
use crate::support::scene::{Scene, people, phone, send_job};
use crate::support::wait;

const HEADER: &str = "campaign_id,row,payment_order_id,short_code,reference,concept,amount,currency,payment_point,\
                      order_status,creation,expiration,url,contact,delivery_status,reason,provider_id,parts,attempts,\
                      sent_at,final_at";

type Row = BTreeMap<String, String>;

fn rows_of(table: &str) -> Vec<Row> {
    csv::Reader::from_reader(table.as_bytes()).deserialize().map(|row| row.unwrap()).collect()
}

#[tokio::test]
async fn po_25_an_export_has_the_columns_of_the_rule_and_is_safe_to_open() {
    let (scene, _daemon) = november().await;
    let table = shown(&scene, &["export", "nov", "--out", "-"]).await;
    assert_eq!(table.split("\r\n").next().unwrap(), HEADER);
    let rows = rows_of(&table);
    assert_eq!(rows.len(), ROWS);
    let row = |number: usize| &rows[number - 1];
    assert_eq!((row(1)["campaign_id"].as_str(), row(1)["row"].as_str()), ("nov", "1"));
    assert_eq!((row(1)["amount"].as_str(), row(1)["currency"].as_str()), ("1001", "EUR"));
    assert_eq!(row(1)["contact"], format!("'{}", phone(1)), "a phone begins as a formula does");
    assert_eq!((row(1)["delivery_status"].as_str(), row(1)["attempts"].as_str()), ("sent", "1"));
    assert_eq!((row(1)["parts"].as_str(), row(1)["final_at"].as_str()), ("1", ""));
    assert!(row(1)["sent_at"].ends_with('Z') && row(1)["provider_id"].starts_with("sb-"), "{:?}", row(1));
    assert!(row(1)["url"].ends_with(&row(1)["short_code"]));
    assert_eq!((row(3)["order_status"].as_str(), row(4)["order_status"].as_str()), ("paid", "cancelled"));
    let skipped = row(5);
    assert_eq!((skipped["delivery_status"].as_str(), skipped["reason"].as_str()), ("skipped", "no_valid_contact"));
    assert_eq!((skipped["contact"].as_str(), skipped["parts"].as_str(), skipped["sent_at"].as_str()), ("", "", ""));
    assert!(skipped["final_at"].ends_with('Z'));
    assert_eq!(row(7)["reference"], "'=HYPERLINK(\"x\")");
    assert_eq!(row(7)["concept"], "una \"cuota\",\nde dos líneas");
}

#[tokio::test]
async fn po_25_json_lines_have_the_same_fields_raw() {
    let (scene, _daemon) = november().await;
    let lines = shown(&scene, &["export", "nov", "--format", "ndjson", "--out", "-"]).await;
    let rows: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(rows.len(), ROWS);
    let fields: Vec<&str> = HEADER.split(',').collect();
    assert_eq!(rows[0].as_object().unwrap().len(), fields.len());
    assert!(fields.iter().all(|field| rows[0].get(field).is_some()), "{}", rows[0]);
    assert_eq!((&rows[0]["contact"], &rows[0]["amount"]), (&phone(1).into(), &1001.into()));
    assert_eq!(rows[6]["reference"], "=HYPERLINK(\"x\")");
    assert_eq!((&rows[4]["contact"], &rows[4]["parts"]), (&Value::Null, &Value::Null));
}

#[tokio::test]
async fn an_export_is_filtered_packed_and_put_into_a_file() {
    let (scene, _daemon) = november().await;
    let path = scene.settings.state_dir().join("paid.csv.gz");
    let out = path.to_str().unwrap();
    let told = json_of(&scene, &["export", "nov", "--state", "paid", "--out", out, "--json"]).await;
    let packed = std::fs::read(&path).unwrap();
    assert_eq!((&told["rows"], &told["bytes"]), (&1.into(), &packed.len().into()));
    assert_eq!(told["digest"], digest(&packed));
    let mut table = String::new();
    flate2::read::GzDecoder::new(packed.as_slice()).read_to_string(&mut table).unwrap();
    assert_eq!(rows_of(&table)[0]["row"], "3");
    assert!(refused(&scene, &["export", "none"]).await.contains("there is no campaign \"none\""));
    assert!(refused(&scene, &["export", "nov", "--run", "x"]).await.contains("has no run \"x\""));
    assert!(
        refused(&scene, &["export", "nov", "--format", "csv", "--out", "a.ndjson"]).await.contains("does not go with")
    );
    let full = refused(&scene, &["export", "nov", "--out", "/dev/full/x.csv"]).await;
    assert!(full.contains("cannot write /dev/full/x.csv"), "{full}");
}

#[tokio::test]
async fn po_25_a_job_writes_its_export_into_the_spool_folder() {
    let (mut scene, _daemon) = november().await;
    let result = scene.command(json!({"action": "export", "campaign": "nov", "file": "november.csv"})).await;
    let path = scene.settings.spool_dir().join("exports/november.csv");
    let table = std::fs::read(&path).unwrap();
    assert_eq!((&result["file"], &result["rows"]), (&"exports/november.csv".into(), &ROWS.into()));
    assert_eq!((&result["bytes"], &result["digest"]), (&table.len().into(), &digest(&table).into()));
    assert_eq!(String::from_utf8(table).unwrap(), shown(&scene, &["export", "nov", "--out", "-"]).await);
    let failed = json!({"action": "export", "campaign": "nov", "format": "ndjson", "delivery_state": "skipped"});
    let result = scene.command(failed).await;
    assert_eq!((&result["file"], &result["rows"]), (&"exports/nov.ndjson".into(), &1.into()));
    for (field, value, expected) in [
        ("campaign", json!("none"), "unknown_campaign"),
        ("run", json!("none"), "unknown_run"),
        ("file", json!("../x.csv"), "path_outside_spool"),
        ("file", json!("/etc/x.csv"), "path_outside_spool"),
        ("file", json!("x.xlsx"), "invalid_value"),
        ("format", json!("xml"), "invalid_value"),
        ("states", json!("failed"), "conflicting_fields"),
    ] {
        let mut job = json!({"action": "export", "campaign": "nov"});
        job[field] = value;
        assert_eq!(scene.command_refused(job.clone()).await.0, expected, "{job}");
    }
    std::fs::remove_dir_all(scene.settings.spool_dir().join("exports")).unwrap();
    std::os::unix::fs::symlink("/tmp", scene.settings.spool_dir().join("exports")).unwrap();
    let (code, _) = scene.command_refused(json!({"action": "export", "campaign": "nov"})).await;
    assert_eq!(code, "path_outside_spool");
}

#[tokio::test]
async fn an_export_of_a_campaign_that_runs_has_each_row_right_in_itself() {
    let mut scene = Scene::with("in_flight = 8\nrate_per_second = 400\n", |_| {}).await;
    let _daemon = scene.daemon().await;
    scene.run("generate", &send_job("c", people(1_000))).await;
    let mut exports = 0;
    loop {
        let over = scene.delivery("c").await["state"] == "finished";
        let output = run(scene.settings.command(&["export", "c", "--out", "-"])).await;
        let rows = rows_of(std::str::from_utf8(&output.stdout).unwrap());
        assert_eq!(rows.len(), 1_000);
        for (at, row) in rows.iter().enumerate() {
            assert_eq!(row["row"], (at + 1).to_string());
            let sent = row["delivery_status"] == "sent";
            assert_eq!((sent, sent), (!row["provider_id"].is_empty(), !row["sent_at"].is_empty()), "{row:?}");
        }
        exports += 1;
        if over {
            assert!(rows.iter().all(|row| row["delivery_status"] == "sent"));
            break;
        }
    }
    assert!(exports > 1, "the campaign was over before it was exported");
}

#[tokio::test]
async fn an_export_whose_daemon_is_killed_is_made_whole_by_the_next_one() {
    let (mut scene, mut daemon) = november().await;
    let gate = crate::support::gate::Gate::before(&scene.redis);
    // The settling of the job is kept from Redis: its file is written, the job is not ended.
    daemon.kill();
    let gated = crate::support::daemon::Settings::with_redis_url(&gate.url());
    let spool = gated.spool_dir();
    let mut first = Daemon::start(&gated).await;
    gate.catch(&mut scene.db, "settle", crate::support::gate::Side::Before, 0).await;
    scene.enqueue("control", &json!({"id": "e", "action": "export", "campaign": "nov"})).await;
    gate.caught("the end of the export").await;
    first.kill();
    gate.open();
    let _second = Daemon::start(&gated).await;
    let result = scene.done("e").await;
    let table = std::fs::read(spool.join("exports/nov.csv")).unwrap();
    assert_eq!((&result["rows"], &result["digest"]), (&ROWS.into(), &digest(&table).into()));
    wait::until("only the export is there", async || {
        (std::fs::read_dir(spool.join("exports")).unwrap().count() == 1).then_some(())
    })
    .await;
}
