//! What a text may not say: it reaches no file, no network, nothing of the process, and ends.

use serde_json::json;

use crate::support::provider::counted;
use crate::support::scene::{Scene, people, send_job};

#[tokio::test]
async fn a_text_reaches_no_file_no_network_and_nothing_of_the_process_and_ends() {
    let mut scene = Scene::new().await;
    scene.settings.spool("secret.txt", "hush");
    let _daemon = scene.daemon().await;
    for (n, text) in [
        "{% include 'secret.txt' %}",
        "{% include '/etc/passwd' %}",
        "{% extends 'http://127.0.0.1/' %}",
        "{% import 'secret.txt' as s %}{{ s }}",
        "{% from 'secret.txt' import s %}{{ s }}",
        "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
        "{{ read('/etc/passwd') }}",
        "{{ env('PATH') }}",
        "{{ debug() }}",
        "{{ name.__class__.__mro__ }}",
        "{{ self }}",
        "{{ name | attr('x') | safe }}",
        "{% for i in range(1000000000) %}x{% endfor %}",
        "{% set a = 'x' %}{% for i in [1,2,3] %}{% set a = a ~ a %}{% endfor %}{{ a }}",
        "{{ 'x' * 1000000000 }}",
        "{{ '${PATH}' }}{{ credentials.api_key }}",
    ]
    .into_iter()
    .enumerate()
    {
        let mut job = send_job(&format!("c{n}"), people(2));
        job["message"] = json!({"text": text});
        scene.enqueue("generate", &job).await;
        let end = scene.ended(&format!("gen-c{n}")).await;
        // Refused as a text, or its variable is nobody's: nothing leaves.
        let refused = end["state"] == "rejected" && end["error_code"].starts_with("template_");
        let missing = end["state"] == "done" && scene.finished(&format!("c{n}")).await["failed"] == "2";
        assert!(refused || missing, "{text}: {end:?}");
    }
    counted(&scene.sandbox, "nothing was sent", |stats| stats.counts.accepted == 0).await;
}
