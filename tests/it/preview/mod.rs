//! `preview`, as the control job and as the command: its numbers are those of the job that is run afterwards.

use std::collections::BTreeMap;
use std::process::{Command, Output, Stdio};

use redis::AsyncCommands as _;
use serde_json::{Value, json};

use crate::support::provider::counted;
use crate::support::scene::{Scene, people, phone, send_job};

/// A file with everything in it: accents in text and rows, emoji, extension characters, keys twice, no numbers, bad
/// amounts, quoted line ends, missing names, a name as long as a letter.
fn nasty() -> String {
    let mut file = "key,reference,concept,amount,SMScontact,name,note\n".to_owned();
    let mut add = |key: &str, amount: &str, phone: &str, name: &str, note: &str| {
        let row = format!("{key},A-{key},Cuota,{amount},{phone},\"{name}\",\"{note}\"\n");
        file.push_str(&row);
    };
    for n in 1..=60 {
        add(&format!("k-{n}"), "1250", &phone(n), &format!("Ana {n}"), "");
    }
    add("accent", "1250", &phone(61), "Raúl Núñez", "");
    add("emoji", "1250", &phone(62), "Eva 😀", "á");
    add("euro", "1250", &phone(63), &"€".repeat(60), "[x]");
    add("lines", "1250", &phone(64), "Luis\nMiguel", "");
    add("k-1", "1250", &phone(65), "Repetida", "");
    add("amount", "12.50", &phone(66), "Pau", "");
    add("nothing", "", &phone(67), "Pau", "");
    add("no-phone", "1250", "", "Sin", "");
    add("bad-phone", "1250", "12", "Mal", "");
    add("excel", "1250", "3.46E+10", "Excel", "");
    add("no-name", "1250", &phone(68), "", "");
    add("blank", "1250", &phone(69), "   ", "");
    add("long", "1250", &phone(70), &"largo ".repeat(120), "");
    file.push_str("short,row\n");
    file
}

fn nasty_job(campaign: &str) -> Value {
    let mut job = send_job(campaign, Vec::<Value>::new());
    job.as_object_mut().unwrap().remove("rows");
    job["rows_from"] = json!({"file": "nasty.csv"});
    job["country"] = "ES".into();
    job["message"] = json!({"text": "¡Hola {{ name }}! Tu cuota de {{ amount }} € {{ note | default('(última)') }}:"});
    job
}

/// `remesa preview generate -` with this job.
async fn command(scene: &Scene, job: &Value, arguments: &[&str]) -> Output {
    let mut all = vec!["preview", "generate", "-"];
    all.extend(arguments);
    let mut command: Command = scene.settings.command(&all);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let text = job.to_string();
    tokio::task::spawn_blocking(move || {
        use std::io::Write as _;
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    })
    .await
    .unwrap()
}

fn report(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?} is no report"))
}

async fn asked(scene: &mut Scene, job: &Value) -> Value {
    scene.command(json!({"action": "preview", "job": job})).await
}

#[tokio::test]
async fn po_15_the_numbers_of_a_preview_are_those_of_the_job_that_is_run_afterwards() {
    let mut scene = Scene::with("rate_per_second = 1000\n", |_| {}).await;
    scene.settings.spool("nasty.csv", nasty());
    let _daemon = scene.daemon().await;
    let job = nasty_job("c");
    let keys: Vec<String> = scene.db.keys("remesa:{c}*").await.unwrap();
    let preview = asked(&mut scene, &job).await;
    assert_eq!(scene.db.keys::<_, Vec<String>>("remesa:{c}*").await.unwrap(), keys, "nothing is written");
    // The command says the same, here and asked of the daemon.
    for arguments in [&["--json"][..], &["--json", "--remote"]] {
        let output = command(&scene, &job, arguments).await;
        assert!(output.status.success(), "{output:?}");
        let mut shown = report(&output);
        for time in ["estimated_start", "estimated_end"] {
            shown["sending"][time] = preview["sending"][time].clone();
        }
        shown["expires_at"] = preview["expires_at"].clone();
        assert_eq!(shown, preview);
    }
    let result = scene.run("generate", &job).await;
    scene.finished("c").await;
    assert_eq!(preview["verdict"], json!({"accepted": true, "state": "done"}));
    assert_eq!(preview["rows"]["orders"], result["orders"]);
    assert_eq!(preview["rows"]["refused"], result["refused"]);
    assert_eq!(preview["rows"]["refused_by_code"], result["refused_by_code"]);
    let without = preview["contacts"]["missing"].as_u64().unwrap() + preview["contacts"]["invalid"].as_u64().unwrap();
    assert_eq!(without, result["without_valid_contact"]);
    let codes = |warnings: &Value| -> Vec<String> {
        warnings.as_array().unwrap().iter().map(|w| w["code"].as_str().unwrap().to_owned()).collect()
    };
    assert!(codes(&preview["warnings"]).contains(&"several_parts".to_owned()), "{}", preview["warnings"]);
    assert!(codes(&preview["warnings"]).iter().all(|code| codes(&result["warnings"]).contains(code)), "{result}");
    // What the provider saw: how many, how many parts each, the very texts but for the code of the link.
    let messages = &preview["messages"];
    let sent = messages["send"].as_u64().unwrap();
    counted(&scene.sandbox, "all messages", |stats| stats.counts.accepted >= sent).await;
    let received = scene.sandbox.inbox(None, 0, 1000);
    assert_eq!(received.len() as u64, sent);
    let mut by_parts: BTreeMap<String, u64> = BTreeMap::new();
    for message in &received {
        *by_parts.entry(remesa::domain::sms::parts(&message.text).to_string()).or_default() += 1;
    }
    assert_eq!(messages["by_parts"], json!(by_parts));
    let parts: usize = received.iter().map(|message| remesa::domain::sms::parts(&message.text)).sum();
    assert_eq!(messages["parts"], parts);
    for sample in messages["samples"].as_array().unwrap() {
        let row = sample["row"].as_u64().unwrap();
        let order = scene.order("c", row).await;
        let text = received.iter().find(|m| m.to == order["contact"].as_str().unwrap()).unwrap().text.clone();
        let code = order["short_code"].as_str().unwrap();
        assert_eq!(sample["text"].as_str().unwrap(), text.replace(code, &"x".repeat(code.len())));
    }
    // What failed and was skipped.
    let run = scene.delivery("c").await;
    let failed: u64 = messages["fail"].as_object().unwrap().values().map(|f| f["messages"].as_u64().unwrap()).sum();
    assert_eq!(run["failed"], failed.to_string());
    assert_eq!(messages["fail"]["missing_variable:name"]["messages"], 2);
    assert_eq!(messages["fail"]["text_too_long"]["messages"], 1);
    assert_eq!(messages["skip"], json!({"no_valid_contact": run["skipped"].parse::<u64>().unwrap()}));
}

#[tokio::test]
async fn po_14_the_preview_names_the_characters_that_force_ucs2_and_where_they_come_from() {
    let mut scene = Scene::new().await;
    let _daemon = scene.daemon().await;
    let mut rows = people(3);
    rows[1]["name"] = "Raúl".into();
    let mut job = send_job("c", rows);
    let preview = asked(&mut scene, &job).await;
    let messages = &preview["messages"];
    assert_eq!((&messages["gsm7"], &messages["ucs2"]), (&2.into(), &1.into()));
    assert_eq!(
        messages["forcing"],
        json!([{"character": "ú", "code_point": "U+00FA", "messages": 1, "places": {"name": 1}, "first_row": 2}])
    );
    job["message"]["transliterate"] = true.into();
    let preview = asked(&mut scene, &job).await;
    assert_eq!((&preview["messages"]["ucs2"], &preview["messages"]["forcing"]), (&0.into(), &json!([])));
    assert_eq!(preview["messages"]["replaced"], json!([{"character": "ú", "with": "u", "messages": 1}]));
}

#[tokio::test]
async fn po_1_a_job_that_would_be_refused_says_so_with_the_daemons_words_and_shows_the_rest() {
    let mut scene = Scene::new().await;
    let _daemon = scene.daemon().await;
    scene.run("generate", &send_job("there", people(1))).await;
    let none = vec![json!({"amount": 1, "name": "Ana"})];
    let mut unknown = send_job("unknown", people(2));
    unknown["channel"] = "nobody".into();
    let mut long = send_job("long", people(2));
    long["message"] = json!({"text": "a".repeat(700)});
    let mut again = send_job("there", people(2));
    again["id"] = "again".into();
    let mut late = send_job("late", people(2));
    late["not_after"] = "2026-01-01T00:00:00Z".into();
    let mut wrong = send_job("wrong", people(2));
    wrong["colour"] = "blue".into();
    for (job, shows_rows) in
        [(send_job("none", none), true), (unknown, true), (long, true), (again, true), (late, true), (wrong, false)]
    {
        let preview = asked(&mut scene, &job).await;
        scene.enqueue("generate", &job).await;
        let (code, sentence) = scene.refused(job["id"].as_str().unwrap()).await;
        let verdict = &preview["verdict"];
        assert_eq!((&verdict["accepted"], &verdict["state"]), (&false.into(), &"rejected".into()), "{preview}");
        assert_eq!(verdict["error_code"], code);
        if code != "expired" {
            assert_eq!(verdict["error"], sentence);
        }
        assert_eq!(preview["rows"]["orders"].is_u64(), shows_rows, "{preview}");
        let output = command(&scene, &job, &[]).await;
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert!(String::from_utf8_lossy(&output.stdout).contains(&format!("would be refused: {code}")), "{output:?}");
    }
}

#[tokio::test]
async fn po_7_the_preview_says_when_sending_ends_and_how_many_orders_expire_unsent() {
    let mut scene = Scene::with("rate_per_second = 2\n", |_| {}).await;
    let _daemon = scene.daemon().await;
    let mut job = send_job("c", people(700));
    job["expires_in"] = "10m".into();
    let at = scene.now_ms().await + 3_600_000;
    job["delivery"] = json!({"at": at});
    let preview = asked(&mut scene, &job).await;
    let sending = &preview["sending"];
    assert_eq!(
        (&sending["rate_per_second"], &sending["parts_waiting"], &sending["late"]),
        (&2.into(), &0.into(), &99.into())
    );
    assert_eq!((&sending["estimated_start"], &sending["estimated_end"]), (&at.into(), &(at + 350_000).into()));
    assert_eq!(
        (&preview["messages"]["send"], &preview["messages"]["skip"]["expires_too_soon"]),
        (&601.into(), &99.into())
    );
    assert_eq!(preview["warnings"][0]["code"], "will_expire_unsent");
    let output = command(&scene, &job, &[]).await;
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("warning will_expire_unsent: 99 of 700 orders"), "{text}");
    assert!(text.contains("5m 50s later"), "{text}");
}

#[tokio::test]
async fn a_preview_reads_lists_and_leaves_no_copy_behind() {
    let mut scene = Scene::new().await;
    let _daemon = scene.daemon().await;
    for row in people(5) {
        let _: u64 = scene.db.rpush("crm:rows", row.to_string()).await.unwrap();
    }
    let mut job = send_job("c", Vec::<Value>::new());
    job.as_object_mut().unwrap().remove("rows");
    job["rows_from"] = json!({"list": "crm:rows"});
    let preview = asked(&mut scene, &job).await;
    assert_eq!((&preview["messages"]["send"], &preview["rows"]["read"]), (&5.into(), &5.into()));
    assert_eq!(report(&command(&scene, &job, &["--json"]).await)["messages"], preview["messages"]);
    let left: Vec<_> = std::fs::read_dir(scene.settings.state_dir()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert!(left.iter().all(|name| !name.to_string_lossy().starts_with("preview-")), "{left:?}");
    assert_eq!(scene.db.llen::<_, u64>("crm:rows").await.unwrap(), 5);
}

#[tokio::test]
async fn the_command_previews_without_redis_and_says_what_it_does_not_know() {
    let mut scene = Scene::new().await;
    scene.settings = scene.settings.set("redis.url", "unix:///nowhere/redis.sock");
    let output = command(&scene, &send_job("c", people(2)), &["--rows", "1"]).await;
    let (text, notes) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert!(output.status.success(), "{text}{notes}");
    assert!(notes.contains("without Redis"), "{notes}");
    assert!(text.contains("what waits is not known") && text.contains("Hola Ana 1: https://"), "{text}");
}

#[tokio::test]
async fn the_numbers_of_a_preview_of_an_import_are_those_of_the_import_that_is_run_afterwards() {
    let mut scene = Scene::new().await;
    let _daemon = scene.daemon().await;
    let file = "id,first_name,mobile,state\nc-1,Ana,600123456,open\nc-2,Eva,,new\nc-3,Luis,12,new\n,Nadie,600123457,new\n\
                c-4,Pau,600123458,abierto\nc-1,Ana,600123456,open\n";
    scene.settings.spool("cases.csv", file);
    let job = json!({"id": "import-c", "campaign": "c", "country": "ES", "rows_from": {"file": "cases.csv"}});
    let preview = scene.command(json!({"action": "preview", "queue": "import", "job": job})).await;
    assert!(scene.db.keys::<_, Vec<String>>("remesa:{c}*").await.unwrap().is_empty(), "nothing is written");
    assert_eq!(preview["verdict"], json!({"accepted": true, "state": "done"}));
    assert_eq!((&preview["rows"]["read"], &preview["rows"]["cases"]), (&json!(6), &json!(3)));
    assert_eq!(preview["contacts"], json!({"valid": 2, "missing": 1, "invalid": 1, "first_without": [2, 3]}));
    let result = scene.run("import", &job).await;
    assert_eq!(preview["rows"]["refused"], result["refused"]);
    assert_eq!(preview["rows"]["refused_by_code"], result["refused_by_code"]);
    assert_eq!(preview["rows"]["cases"], result["created"]);
    let bad = json!({"campaign": "c", "category": "commercial", "rows": [{"id": "c-9"}]});
    let refused = scene.command(json!({"action": "preview", "queue": "import", "job": bad})).await;
    assert_eq!(refused["verdict"]["error_code"], "campaign_mismatch");
    let nothing = json!({"campaign": "d", "rows": [{"first_name": "Nadie"}]});
    let dead = scene.command(json!({"action": "preview", "queue": "import", "job": nothing})).await;
    assert_eq!(dead["verdict"]["error_code"], "nothing_imported");
}
