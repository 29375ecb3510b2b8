//! After a `forget` the number is nowhere: the whole Redis and the folders of Remesa are searched.

use redis::AsyncCommands as _;
use serde_json::json;

use crate::support::grep;
use crate::support::scene::{Scene, generate_job, people, send_job};
use crate::support::wait;

const PHONE: &str = "+34600123456";
const DIGITS: &str = "600123456";

#[tokio::test]
async fn da_9_after_a_forget_the_number_is_in_no_key_of_redis_and_in_no_file_of_ours() {
    let mut scene = Scene::new().await;
    let daemon = scene.daemon().await;
    let mut rows = people(3);
    rows[1]["SMScontact"] = "600 12 34 56".into();
    rows[1]["concept"] = "Cuota de 600123456".into();
    rows[2]["key"] = format!("{PHONE}-x").into();
    let mut job = send_job("sent", rows.clone());
    job["country"] = "ES".into();
    scene.run("generate", &job).await;
    scene.campaign_is("sent", "delivered").await;
    // Refused rows: the same key again, and an amount that is none.
    let refused = json!([{"key": "k", "amount": "1,5", "SMScontact": PHONE}, {"key": PHONE, "amount": 1},
                         {"key": PHONE, "amount": 1, "SMScontact": "34 600123456"}]);
    scene.run("generate", &generate_job("refused", refused)).await;
    // A job refused whole, one that dies, one that waits for its time, one that waits for another.
    let mut wrong = generate_job("wrong", rows.clone());
    wrong["oops"] = PHONE.into();
    scene.enqueue("generate", &wrong).await;
    scene.refused("gen-wrong").await;
    scene
        .enqueue("generate", &generate_job("dead", json!([{"amount": "x", "SMScontact": "600\u{a0}123\u{a0}456"}])))
        .await;
    scene.refused("gen-dead").await;
    let mut later = generate_job("later", rows.clone());
    later["at"] = (scene.now_ms().await + 3_600_000).into();
    scene.enqueue("generate", &later).await;
    let mut parked = generate_job("parked", rows);
    parked["after"] = json!(["nobody"]);
    scene.enqueue("generate", &parked).await;
    wait::field(&mut scene.db, "remesa:job:gen-parked", "state", &["parked"]).await;
    wait::field(&mut scene.db, "remesa:job:gen-later", "state", &["scheduled"]).await;
    scene.settings.spool("in.csv", format!("amount,SMScontact\n1,{PHONE}\n"));
    std::fs::create_dir_all(scene.settings.spool_dir().join("errors")).unwrap();
    scene.settings.spool("errors/old.csv", format!("amount,SMScontact,line,code\nx,{PHONE},2,y\nx,1,3,y\n"));
    std::fs::create_dir_all(scene.settings.spool_dir().join("exports")).unwrap();
    scene.settings.spool("exports/old.csv", format!("row,amount,contact\n1,5,'{PHONE}\n"));
    assert!(grep::redis(&mut scene.db, DIGITS).await.len() >= 8, "the number is in many places");

    let note = scene.command(json!({"action": "forget", "contact": PHONE})).await;
    assert_eq!(grep::redis(&mut scene.db, DIGITS).await, Vec::<String>::new(), "{note}");
    for (kind, count) in [("rejected_jobs", 1), ("dead_jobs", 1), ("files", 4), ("file_rows", 5), ("job_rows", 4)] {
        assert_eq!(note["erased"][kind], count, "{kind}: {note}");
    }
    assert_eq!(note["left"]["source_files"], json!(["in.csv"]));
    let left = grep::folder(&scene.settings.spool_dir(), DIGITS);
    assert!(left.len() == 1 && left[0].ends_with("/in.csv"), "{left:?}");
    assert_eq!(grep::folder(&scene.settings.state_dir(), DIGITS), Vec::<String>::new());
    assert!(!daemon.log().contains(DIGITS));
    // The id of the job that forgot still knows its payload, by a digest that tells nothing.
    let digest: String = scene.db.hget("remesa:job:command-1", "digest").await.unwrap();
    assert_eq!(digest.len(), 16);
    // Codes and sentences of what was refused are still there.
    let letters: redis::streams::StreamRangeReply = scene.db.xrange_all("remesa:rejected").await.unwrap();
    assert_eq!(letters.ids[0].get::<String>("code").unwrap(), "unknown_field");
}
