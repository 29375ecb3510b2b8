//! Templates: kept by name for all campaigns, replaced by a later import.

use redis::AsyncCommands as _;
use serde_json::{Value, json};

use super::{clients, import_job};
use crate::support::scene::Scene;

async fn content(scene: &mut Scene, name: &str) -> Value {
    let text: String = scene.db.hget(format!("remesa:template:{name}"), "content").await.unwrap();
    serde_json::from_str(&text).unwrap()
}

#[tokio::test]
async fn templates_are_kept_and_replaced_alone_or_beside_cases() {
    let mut scene = Scene::new().await;
    let _daemon = scene.daemon().await;
    let job = json!({"id": "one", "templates": [
        {"name": "reminder", "text": "Hola {{ first_name }}: {{ url }}"},
        {"name": "letter", "subject": "Hola", "html": "<p>{{ first_name }}</p>", "text": "Hola"},
        {"name": "approved", "provider_template": {"name": "pago", "language": "es", "parameters": ["{{ first_name }}"]}},
    ]});
    let result = scene.run("import", &job).await;
    assert_eq!(result["templates"], json!(["reminder", "letter", "approved"]));
    assert_eq!(content(&mut scene, "letter").await["html"], "<p>{{ first_name }}</p>");
    let mut job = import_job("c", clients(1));
    job["templates"] = json!([{"name": "reminder", "text": "Otra {{ first_name }}"}]);
    let result = scene.run("import", &job).await;
    assert_eq!((&result["cases"], &result["templates"]), (&1.into(), &json!(["reminder"])));
    assert_eq!(content(&mut scene, "reminder").await["text"], "Otra {{ first_name }}");
    let names: Vec<String> = scene.db.zrange("remesa:templates", 0, -1).await.unwrap();
    assert_eq!(names, ["approved", "letter", "reminder"]);
}

#[tokio::test]
async fn a_job_with_a_template_that_does_not_compile_does_nothing() {
    let mut scene = Scene::new().await;
    let _daemon = scene.daemon().await;
    let mut job = import_job("c", clients(1));
    job["templates"] = json!([{"name": "good", "text": "Hola"}, {"name": "bad", "text": "Hola {{ first_name"}]);
    scene.enqueue("import", &job).await;
    let (code, sentence) = scene.refused("imp-c").await;
    assert_eq!(code, "template_syntax");
    assert!(sentence.contains("templates[1].text"), "{sentence}");
    assert!(!scene.db.exists::<_, bool>("remesa:template:good").await.unwrap());
    assert!(scene.campaign("c").await.is_empty());
}
