//! `remesa check`: what it finds beside Redis and channels: who may read secrets, templates, permanent messages, tokens.

use std::os::unix::fs::PermissionsExt as _;

use redis::AsyncCommands as _;
use serde_json::{Value, json};

use crate::support::command::run;
use crate::support::daemon::Settings;
use crate::support::scene::{Scene, phone};

async fn findings(settings: &Settings) -> Vec<(String, String, String)> {
    let output = run(settings.command(&["check", "--json"])).await;
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    let text = |finding: &Value, field: &str| finding[field].as_str().unwrap().to_owned();
    let each = told["findings"].as_array().unwrap().iter();
    each.map(|it| (text(it, "what"), text(it, "grade"), text(it, "found"))).collect()
}

fn of<'a>(findings: &'a [(String, String, String)], what: &str) -> (&'a str, &'a str) {
    let found = findings.iter().find(|(name, ..)| name == what);
    let (_, grade, found) = found.unwrap_or_else(|| panic!("no {what}: {findings:?}"));
    (grade.as_str(), found.as_str())
}

#[tokio::test]
async fn a_template_that_does_not_compile_or_names_a_column_that_no_case_has_is_found() {
    let mut scene = Scene::new().await;
    let _daemon = scene.daemon().await;
    let rows = json!([{"id": "c-1", "mobile": phone(1), "first_name": "Ana", "plan": "gold"}]);
    let templates = json!([{"name": "good", "text": "Hola {{ first_name }}, {{ plan }}"},
                           {"name": "odd", "text": "Hola {{ first_name }}, {{ saldo }}"}]);
    let import = json!({"id": "imp", "campaign": "c", "country": "ES", "rows": rows, "templates": templates});
    scene.run("import", &import).await;
    let found = findings(&scene.settings).await;
    let (grade, sentence) = of(&found, "template odd");
    assert_eq!(grade, "warning");
    assert!(sentence.starts_with("it names saldo, which none of the 1 case looked at has"), "{sentence}");
    assert!(found.iter().all(|(what, ..)| what != "template good"), "{found:?}");
    // Written by another version, with words that this one does not read.
    let broken = json!({"text": "Hola {{ first_name "}).to_string();
    let () = scene.db.hset("remesa:template:good", "content", broken).await.unwrap();
    let found = findings(&scene.settings).await;
    let (grade, sentence) = of(&found, "template good");
    assert_eq!(grade, "bad");
    assert!(sentence.contains("does not compile any more"), "{sentence}");
}

#[tokio::test]
async fn a_credential_that_everybody_may_read_a_missing_token_and_a_folder_are_told() {
    let scene = Scene::new().await;
    let found = findings(&scene.settings).await;
    assert_eq!(of(&found, "credentials").0, "good");
    assert!(of(&found, "tokens").1.starts_with("none: everybody on this machine may look things up"));
    assert_eq!(of(&found, "open files").0, "good");
    assert_eq!((of(&found, "state folder").0, of(&found, "journal folder").0), ("good", "good"));

    let key = scene.settings.state_dir().with_file_name("sms-key");
    std::fs::write(&key, "hush").unwrap();
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
    let settings = scene.settings.toml(&format!(
        "[channels.other]\nkind = \"sandbox\"\ncredentials = {{ a = \"file:{}\" }}\n\
         [http.tokens.ana]\nrole = \"operator\"\ntoken = \"{}\"\n",
        key.display(),
        "x".repeat(40)
    ));
    std::fs::set_permissions(settings.write(), std::fs::Permissions::from_mode(0o600)).unwrap();
    let found = findings(&settings).await;
    let (grade, sentence) = of(&found, "credentials");
    assert_eq!(grade, "warning");
    assert!(sentence.starts_with("the credential ") && sentence.contains("chmod o-rwx"), "{sentence}");
    assert_eq!(of(&found, "tokens"), ("good", "ana (operator)"));
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(of(&findings(&settings).await, "credentials").0, "good");
    let few = run({
        let mut command = std::process::Command::new("sh");
        let inner = settings.command(&["check", "--json"]);
        command.arg("-c").arg(format!("ulimit -n 128; exec {} check --json", inner.get_program().to_str().unwrap()));
        command.env_clear().envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command.env("WATCHDOG_USEC", "2000000");
        command
    })
    .await;
    let told: Value = serde_json::from_slice(&few.stdout).unwrap();
    let grade = |what: &str| {
        told["findings"].as_array().unwrap().iter().find(|it| it["what"] == what).map(|it| it["grade"].clone())
    };
    assert_eq!((grade("open files"), grade("watchdog")), (Some("warning".into()), Some("warning".into())), "{told:#}");
}
