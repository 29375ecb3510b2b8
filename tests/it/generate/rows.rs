//! Where rows come from and what becomes of each: inline, CSV, NDJSON; good, bad, repeated.

use redis::AsyncCommands as _;
use serde_json::{Value, json};

use crate::support::ledger::campaign_audit;
use crate::support::scene::{Scene, codes, errors, generate_job, people};

#[tokio::test]
async fn inline_rows_become_orders_in_their_order() {
    let mut scene = Scene::new().await;
    let _daemon = scene.daemon().await;
    let rows = vec![
        json!({"key": "first", "reference": "A-1", "concept": "Cuota", "amount": 1250, "SMScontact": "600 12 34 56",
               "name": "Ana", "floor": 3}),
        json!({"amount": "99", "currency": "MXN", "smsCONTACT": "+525512345678"}),
    ];
    let mut job = generate_job("c", rows);
    job["country"] = "ES".into();
    let result = scene.run("generate", &job).await;
    assert_eq!(
        (&result["orders"], &result["refused"], &result["without_valid_contact"]),
        (&2.into(), &0.into(), &0.into())
    );
    let (first, second) = (scene.order("c", 1).await, scene.order("c", 2).await);
    assert_eq!((first["key"].as_str(), first["reference"].as_str()), (Some("first"), Some("A-1")));
    assert_eq!((&first["amount"], &first["contact"]), (&1250.into(), &"+34600123456".into()));
    assert_eq!((&first["vars"], &first["state"]), (&json!({"name": "Ana", "floor": 3}), &"available".into()));
    assert_eq!((second["key"].as_str(), second["currency"].as_str()), (Some("gen-c:2"), Some("MXN")));
    let campaign = scene.campaign("c").await;
    assert_eq!((campaign["state"].as_str(), campaign["delivery"].as_str()), ("generated", "none"));
    campaign_audit(&mut scene.db, "c").await;
}

#[tokio::test]
async fn a_csv_file_is_read_from_the_spool_folder_and_its_bad_rows_are_listed() {
    let mut scene = Scene::new().await;
    let file = "Key,REFERENCE,concept,Amount,currency,smscontact,name\n\
                k-1,A-1,Cuota,1250,,+34600000001,Ana\n\
                k-2,A-2,Cuota,12.50,,+34600000002,Luis\n\
                k-3,A-3,\"Cuota, con coma\",0,,+34600000003,Eva\n\
                k-4,A-4,Cuota,99,XXX,+34600000004,Pau\n\
                k-1,A-5,Cuota,99,,+34600000005,Repetida\n\
                k-6,A-1,Cuota,,,+34600000006,Sin importe\n\
                k-7,A-1,Cuota,7,,not a number,Con referencia repetida\n";
    scene.settings.spool("nov.csv", file);
    let _daemon = scene.daemon().await;
    let mut job = generate_job("c", Vec::<serde_json::Value>::new());
    job.as_object_mut().unwrap().remove("rows");
    job["rows_from"] = json!({"file": "nov.csv"});
    let result = scene.run("generate", &job).await;
    assert_eq!(
        (&result["orders"], &result["refused"], &result["without_valid_contact"]),
        (&2.into(), &5.into(), &1.into())
    );
    let errors = errors(&mut scene, "c").await;
    let expected = [
        (3, "amount_not_an_integer"),
        (4, "amount_out_of_range"),
        (5, "unknown_currency"),
        (6, "duplicate_key"),
        (7, "missing_amount"),
    ];
    assert_eq!(codes(&errors), expected);
    assert!(errors[0]["error"].as_str().unwrap().contains("12.50"), "{}", errors[0]);
    assert!(errors[0]["input"].as_str().unwrap().contains("Luis"), "{}", errors[0]);
    assert_eq!(
        (scene.order("c", 2).await["key"].as_str(), scene.order("c", 2).await.get("contact")),
        (Some("k-7"), None)
    );
    let campaign = scene.campaign("c").await;
    assert_eq!((campaign["refused"].as_str(), campaign["refused:duplicate_key"].as_str()), ("5", "1"));
    campaign_audit(&mut scene.db, "c").await;
}

#[tokio::test]
async fn an_ndjson_file_goes_on_behind_a_line_that_is_not_json() {
    let mut scene = Scene::new().await;
    let file = "{\"key\":\"a\",\"amount\":1}\n{\"key\":\"b\",\"amount\":2\n\n[3]\n{\"key\":\"d\",\"amount\":4}\n";
    scene.settings.spool("nov.ndjson", file);
    let _daemon = scene.daemon().await;
    let mut job = generate_job("c", Vec::<serde_json::Value>::new());
    job.as_object_mut().unwrap().remove("rows");
    job["rows_from"] = json!({"file": "nov.ndjson"});
    let result = scene.run("generate", &job).await;
    assert_eq!((&result["orders"], &result["refused"]), (&2.into(), &2.into()));
    assert_eq!(codes(&errors(&mut scene, "c").await).iter().map(|(line, _)| *line).collect::<Vec<_>>(), [2, 4]);
    assert_eq!(scene.order("c", 2).await["key"], "d");
}

#[tokio::test]
async fn many_slices_keep_the_order_of_the_rows() {
    let mut scene = Scene::new().await;
    scene.settings = scene.settings.toml("[sources]\nslice_rows = 7\n");
    let _daemon = scene.daemon().await;
    let result = scene.run("generate", &generate_job("c", people(100))).await;
    assert_eq!(result["orders"], 100);
    for n in [1, 7, 8, 50, 100] {
        assert_eq!(scene.order("c", n).await["key"], format!("k-{n}"));
    }
    campaign_audit(&mut scene.db, "c").await;
}

#[tokio::test]
async fn po_21_a_second_job_for_a_campaign_is_refused_unless_it_appends() {
    let mut scene = Scene::new().await;
    let _daemon = scene.daemon().await;
    scene.run("generate", &generate_job("c", people(2))).await;
    let mut second = generate_job("c", people(3));
    second["id"] = "second".into();
    scene.enqueue("generate", &second).await;
    let (code, sentence) = scene.refused("second").await;
    assert_eq!(code, "campaign_exists");
    assert!(sentence.contains("gen-c") && sentence.contains("append"), "{sentence}");
    // The id of a refused job is free: the same job, mended. Its known keys are refused, the new one is added.
    second["append"] = true.into();
    scene.enqueue("generate", &second).await;
    let job = crate::support::wait::until("the mended job ends", async || {
        let job = scene.hash("remesa:job:second").await;
        (job["state"] == "done").then_some(job)
    })
    .await;
    let result: Value = serde_json::from_str(&job["result"]).unwrap();
    assert_eq!((&result["orders"], &result["refused"]), (&1.into(), &2.into()));
    assert_eq!(scene.order("c", 3).await["key"], "k-3");
    assert_eq!(
        codes(&errors(&mut scene, "c").await).iter().map(|(_, code)| *code).collect::<Vec<_>>(),
        ["duplicate_key"; 2]
    );
    campaign_audit(&mut scene.db, "c").await;
}

#[tokio::test]
async fn po_21_the_same_file_again_is_generated_and_warned_of() {
    let mut scene = Scene::new().await;
    scene.settings.spool("nov.csv", "amount,reference\n1,A-1\n");
    let _daemon = scene.daemon().await;
    let job = |campaign: &str| {
        json!({"id": format!("gen-{campaign}"), "campaign": campaign, "currency": "EUR",
               "rows_from": {"file": "nov.csv"}})
    };
    assert_eq!(scene.run("generate", &job("first")).await["warnings"], json!([]));
    let result = scene.run("generate", &job("second")).await;
    assert_eq!((&result["orders"], &result["warnings"][0]["code"]), (&1.into(), &"same_source".into()));
    let sentence = result["warnings"][0]["sentence"].as_str().unwrap();
    assert!(sentence.contains("\"gen-first\"") && sentence.contains("\"first\""), "{sentence}");
    let campaign = scene.campaign("second").await;
    assert_eq!(serde_json::from_str::<Value>(&campaign["warnings"]).unwrap(), result["warnings"]);
    let shown = scene.settings.command(&["job", "gen-second"]).output().unwrap();
    let shown = String::from_utf8(shown.stdout).unwrap();
    assert!(shown.contains("warning: same_source: a source with the same bytes"), "{shown}");
}

#[tokio::test]
async fn da_2_a_job_enqueued_twice_makes_each_order_once() {
    let mut scene = Scene::new().await;
    let job = generate_job("c", people(20));
    for _ in 0..3 {
        scene.enqueue("generate", &job).await;
    }
    let _daemon = scene.daemon().await;
    assert_eq!(scene.done("gen-c").await["orders"], 20);
    crate::support::wait::until("the queue is empty", async || {
        (scene.db.xlen::<_, u64>("remesa:jobs:generate").await.unwrap() == 0).then_some(())
    })
    .await;
    assert_eq!(scene.campaign("c").await["orders"], "20");
    campaign_audit(&mut scene.db, "c").await;
}

#[tokio::test]
async fn po_6_a_campaign_of_which_nothing_could_be_generated_has_failed() {
    let mut scene = Scene::new().await;
    let _daemon = scene.daemon().await;
    scene.enqueue("generate", &generate_job("c", vec![json!({"amount": -1}), json!({"amount": "x"})])).await;
    assert_eq!(scene.refused("gen-c").await.0, "nothing_generated");
    let campaign = scene.campaign("c").await;
    assert_eq!((campaign["state"].as_str(), campaign["failed_reason"].as_str()), ("failed", "nothing_generated"));
}
