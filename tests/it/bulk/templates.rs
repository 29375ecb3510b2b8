//! What a message says by the name of a stored template.

use serde_json::{Value, json};

use super::{message, people, put_cases, run_is, texts};
use crate::support::scene::{Scene, phone};
use crate::support::wait;

fn template(id: &str, text: &str) -> Value {
    json!({"id": id, "templates": [{"name": "reminder", "text": text}]})
}

#[tokio::test]
async fn bm_21_a_message_keeps_the_words_that_its_template_had_when_the_job_was_accepted() {
    let mut scene = Scene::new().await;
    let _daemon = scene.daemon().await;
    people(&mut scene, "c", 1).await;
    scene.run("import", &template("t-1", "Antes: {{ name }}")).await;
    let at = scene.now_ms().await + 1500;
    let scheduled = json!({"template": "reminder", "text": null, "frequency": {"at": at}});
    scene.enqueue("send", &message("c", &scheduled)).await;
    wait::field(&mut scene.db, "remesa:job:send-c", "state", &["scheduled"]).await;
    scene.run("import", &template("t-2", "Ahora: {{ name }}")).await;
    put_cases(&mut scene, "d", &[super::person(2)]).await;
    scene.run("send", &message("d", &json!({"template": "reminder", "text": null}))).await;
    run_is(&mut scene, "d", "m", "finished").await;
    run_is(&mut scene, "c", "m", "finished").await;
    assert_eq!(texts(&scene, &phone(1)), ["Antes: Ana 1"]);
    assert_eq!(texts(&scene, &phone(2)), ["Ahora: Ana 2"]);
}
