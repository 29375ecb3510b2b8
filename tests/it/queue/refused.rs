//! The published jobs against a live daemon: every refused example is refused with its code and harms nothing, every
//! valid example is accepted, and what is too big is kept as far as it may be.

use std::fs;
use std::path::{Path, PathBuf};

use redis::AsyncCommands as _;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::{Stage, generate, named, with};
use crate::support::daemon::Daemon;
use crate::support::provider::{Act, Receiver, answer, files_from};

/// The largest job of the contract, and what is kept of a larger one.
const MAX_BYTES: usize = 1_048_576;
const KEPT_BYTES: usize = 4_096;

/// Name and text of the JSON files of a folder of `jobs/`. Each gets campaigns and ids of its own: they run side by side.
fn examples(folder: &str) -> Vec<(String, Value)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("jobs").join(folder);
    let mut paths: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let own = |path: PathBuf| {
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let mut text = fs::read_to_string(path).unwrap();
        for shared in ["nov-dues", "oct-dues", "dec-dues", "gen-nov", "crm:import-77"] {
            text = text.replace(shared, &format!("{shared}.{name}"));
        }
        (name, serde_json::from_str(&text).unwrap())
    };
    paths.into_iter().map(own).collect()
}

/// The bytes of a refused example.
fn bytes(example: &Value) -> Vec<u8> {
    let mut bytes = match example.get("raw") {
        Some(raw) => raw.as_str().unwrap().as_bytes().to_vec(),
        None => example["job"].to_string().into_bytes(),
    };
    if let Some(length) = example.get("pad_to_bytes") {
        bytes.resize(usize::try_from(length.as_u64().unwrap()).unwrap(), b' ');
    }
    bytes
}

/// Puts the files of an example into the spool folder: `text`, `hex`, or a hole of `sparse_bytes`.
fn spool(stage: &Stage, example: &Value) {
    for (file, content) in example.get("spool").and_then(Value::as_object).into_iter().flatten() {
        if let Some(text) = content.get("text") {
            stage.settings.spool(file, text.as_str().unwrap());
        } else if let Some(hex) = content.get("hex") {
            let hex = hex.as_str().unwrap();
            let byte = |at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
            stage.settings.spool(file, (0..hex.len()).step_by(2).map(byte).collect::<Vec<_>>());
        } else {
            stage.settings.spool(file, "");
            let hole = fs::File::options().write(true).open(stage.settings.spool_dir().join(file)).unwrap();
            hole.set_len(content["sparse_bytes"].as_u64().unwrap()).unwrap();
        }
    }
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"))
}

/// Adds a job and waits for its end under its id, or under its entry's name.
async fn run(stage: &mut Stage, queue: &str, job: &Value) -> std::collections::HashMap<String, String> {
    let entry = stage.add_json(queue, job).await;
    let id = job["id"].as_str().map_or_else(|| format!("{queue}:{entry}"), str::to_owned);
    stage.job(&id, &["done", "dead", "rejected", "scheduled", "parked"]).await
}

#[tokio::test]
async fn every_refused_example_is_rejected_with_its_code_and_harms_nothing_else() {
    let mut stage = Stage::with_channel().await;
    stage.settings = stage.settings.set("orders.currencies", "EUR,MXN");
    let mut daemon = Daemon::start(&stage.settings).await;
    for (name, example) in examples("rejected") {
        spool(&stage, &example);
        for before in example.get("before").and_then(Value::as_array).into_iter().flatten() {
            let before = run(&mut stage, before["queue"].as_str().unwrap(), &before["job"]).await;
            assert_eq!(before["state"], "done", "before {name}: {before:?}");
        }
        let queue = example["queue"].as_str().unwrap();
        let job = bytes(&example);
        let entry = stage.add(queue, &job).await;
        stage.left(queue, 0).await;

        let letter = stage.letters("rejected").await.pop().unwrap();
        assert_eq!(letter["code"], name, "{letter:?}");
        assert_eq!((letter["queue"].as_str(), letter["bytes"].as_str()), (queue, job.len().to_string().as_str()));
        assert_eq!(letter["digest"], sha256(&job), "{name}");
        let kept = if job.len() > MAX_BYTES { &job[..KEPT_BYTES] } else { &job[..] };
        assert!(letter["job"].as_bytes() == kept, "{name}: the job is not kept as it came");
        assert!(letter["error"].len() > 10, "{name}: {}", letter["error"]);
        let entry_name = format!("{queue}:{entry}");
        let status = stage.job(&letter["id"], &["rejected", "done"]).await;
        if letter["id"] == entry_name {
            assert_eq!((status["state"].as_str(), status["error_code"].as_str()), ("rejected", name.as_str()));
        }
    }
    assert_eq!(stage.letters("rejected").await.len(), examples("rejected").len());
    assert!(stage.letters("dead").await.is_empty());
    assert!(daemon.is_running());
    stage.add_json("generate", &named("well", "well")).await;
    stage.job("well", &["done"]).await;
}

#[tokio::test]
async fn every_example_is_accepted() {
    let mut stage = Stage::with_channel().await;
    fs::create_dir_all(stage.settings.spool_dir().join("november")).unwrap();
    let header = "amount,SMScontact,name,concept\n";
    stage.settings.spool("november/dues.csv", format!("{header}1250,+34600123456,Ana,Cuota\n"));
    stage.settings.spool("clients.csv", "id;nombre;movil\nc-1;Ana;600123456\n");
    stage.settings.spool("dues.txt", "{\"amount\":1250}\n");
    let files = Receiver::start([Act::Write(answer("text/csv", b"importe;movil\n1250;600123456\n"))]);
    stage.settings = files_from(stage.settings, &files);
    let _daemon = Daemon::start(&stage.settings).await;
    // Nothing is sent, so that the runs are still there to be paused and cancelled.
    run(&mut stage, "control", &json!({"action": "pause", "channel": "sms-main"})).await;
    let in_an_hour = stage.now_ms().await + 3_600_000;

    for (name, mut job) in examples("examples") {
        if name == "control-receipt" {
            // It names a message that was sent, and nothing is here: tests/it/receipts has such ones.
            continue;
        }
        let (queue, _) = name.split_once('-').unwrap();
        let campaign = job["campaign"].as_str().map(str::to_owned);
        if matches!(queue, "control" | "send" | "recurring") || name == "generate-append" {
            let campaign = campaign.unwrap_or_else(|| format!("for-{name}"));
            let mut before = generate(&campaign, 20);
            before["id"] = format!("gen-nov.{name}").into();
            before["delivery"] = "now".into();
            before["channel"] = "sms-main".into();
            before["message"] = json!({"text": "Hola {{ name | default('cliente') }}", "url": "end"});
            before["rows"][0]["SMScontact"] = "+34600123456".into();
            before["rows"][0]["key"] = "customer-2".into();
            let before = run(&mut stage, "generate", &before).await;
            assert_eq!(before["state"], "done", "before {name}: {before:?}");
            if job.get("short_code").is_some() {
                let order: String = stage.connection.get(format!("remesa:{{{campaign}}}:order:1")).await.unwrap();
                job["short_code"] = serde_json::from_str::<Value>(&order).unwrap()["short_code"].clone();
            }
        }
        if name.ends_with("-case") {
            let rows: Vec<Value> = (1..=7).map(|n| json!({"id": format!("c-{n}"), "mobile": "+34600123456"})).collect();
            let cases = json!({"id": format!("import.{name}"), "campaign": job["campaign"], "rows": rows});
            run(&mut stage, "import", &cases).await;
        }
        if name == "control-reopen-case" {
            run(&mut stage, queue, &with(job.clone(), "action", "close_case")).await;
        }
        if queue == "control" && job.get("recurring").is_some() {
            let definition = json!({"id": format!("define.{name}"), "campaign": job["campaign"], "recurring": job["recurring"],
                                    "channel": "sms-main", "text": "Hola", "every": "24h"});
            let definition = run(&mut stage, "recurring", &definition).await;
            assert_eq!(definition["state"], "done", "before {name}: {definition:?}");
        }
        if let Some(list) = job["rows_from"]["list"].as_str() {
            let _: u64 = stage.connection.rpush(list, r#"{"amount":1250}"#).await.unwrap();
        }
        if job["rows_from"].get("url").is_some() {
            job["rows_from"]["url"] = format!("{}/november/dues.csv.gz", files.url()).into();
        }
        if name == "control-resume-run" {
            run(&mut stage, queue, &with(job.clone(), "action", "pause")).await;
        }
        if name.ends_with("refunded") {
            let paid = with(job.clone(), "event", "paid");
            let paid =
                ["id", "amount", "occurred_at"].into_iter().fold(paid, |job, field| with(job, field, Value::Null));
            run(&mut stage, queue, &paid).await;
        }
        let expected = match name.as_str() {
            "generate-envelope" => {
                job["at"] = in_an_hour.into();
                job["not_after"] = (in_an_hour + 1).into();
                "scheduled"
            }
            "generate-scheduled" | "send-scheduled" => "scheduled",
            _ => "done",
        };
        let status = run(&mut stage, queue, &job).await;
        assert_eq!(status["state"], expected, "{name}: {status:?}");
    }
    assert!(stage.letters("rejected").await.is_empty());
}

#[tokio::test]
async fn a_job_over_1_mib_is_rejected_with_its_first_4_kib_and_its_digest_and_one_of_1_mib_is_done() {
    let mut stage = Stage::plain().await;
    let _daemon = Daemon::start(&stage.settings).await;
    let padded = |campaign: &str, bytes: usize| {
        let mut job = generate(campaign, 1).to_string().into_bytes();
        job.resize(bytes, b' ');
        job
    };
    let entry = stage.add("generate", padded("just", MAX_BYTES)).await;
    assert_eq!(stage.job(&format!("generate:{entry}"), &["done", "rejected"]).await["state"], "done");

    let sizes = [MAX_BYTES + 1, 1_572_864, 10 * MAX_BYTES];
    for size in sizes {
        let entry = stage.add("generate", padded("big", size)).await;
        let status = stage.job(&format!("generate:{entry}"), &["rejected"]).await;
        assert_eq!(status["error_code"], "job_too_big");
        assert!(status["error"].contains(&size.to_string()), "{}", status["error"]);
        assert!(status.values().all(|value| value.len() < 1_000), "a payload in the status");
    }
    let letters = stage.letters("rejected").await;
    assert_eq!(letters.len(), sizes.len());
    for (letter, size) in letters.iter().zip(sizes) {
        let job = padded("big", size);
        assert_eq!(letter["bytes"], size.to_string());
        assert_eq!(letter["digest"], sha256(&job));
        assert!(letter["job"].as_bytes() == &job[..KEPT_BYTES]);
    }
    // Mended, it is a job like any other.
    stage.add_json("generate", &named("mended", "big")).await;
    stage.job("mended", &["done"]).await;
    stage.drained("generate").await;
}

#[tokio::test]
async fn an_entry_without_the_field_job_is_rejected_and_extra_fields_beside_it_are_not() {
    let mut stage = Stage::plain().await;
    let _daemon = Daemon::start(&stage.settings).await;
    let jobs = "remesa:jobs:generate";
    let entry: String = stage.connection.xadd(jobs, "*", &[("jop", "{}"), ("x", "y")]).await.unwrap();
    let status = stage.job(&format!("generate:{entry}"), &["rejected"]).await;
    assert_eq!(status["error_code"], "no_job");
    let slot: String = stage.connection.xadd(jobs, "*", &[("slot", "c/delivery@1/0/1")]).await.unwrap();
    assert_eq!(stage.job(&format!("generate:{slot}"), &["rejected"]).await["error_code"], "no_job");
    let text = named("a", "c").to_string();
    let fields = [("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"), ("job", text.as_str())];
    let _: String = stage.connection.xadd(jobs, "*", &fields).await.unwrap();
    stage.job("a", &["done"]).await;
    stage.drained("generate").await;
}

#[tokio::test]
async fn bytes_that_are_no_text_are_rejected_without_being_passed_off_as_the_whole_job() {
    let mut stage = Stage::plain().await;
    let _daemon = Daemon::start(&stage.settings).await;
    // The first three bytes of a four-byte character: replaced, they are as long as before.
    let entry = stage.add("generate", b"{\"id\":\"\xf0\x9f\x98\"}").await;
    assert_eq!(stage.job(&format!("generate:{entry}"), &["rejected"]).await["error_code"], "not_json");
    let letters = stage.store().letters(remesa::store::letters::Letters::Rejected, None, 1).await.unwrap();
    assert!(!letters[0].is_whole());
}
