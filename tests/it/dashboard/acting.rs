//! What an operator does with the buttons of the dashboard: asked in a real browser, done by the daemon, in the audit.

use serde_json::json;

use crate::support::browser::Browser;
use crate::support::scene::{Scene, people, send_job};
use crate::support::visitor::{ANA, EVA, tokens};

use super::browsed::logged_in;
use super::stage::stage;

/// The form that does this, on the page.
fn form(action: &str, more: &str) -> String {
    format!("form:has(input[name=action][value={action}]){more}")
}

/// Opens the question of an action that cannot be taken back, and answers it.
async fn surely(browser: &mut Browser, action: &str, more: &str) {
    let form = form(action, more);
    browser.click(&format!("details:has(input[name=action][value={action}]) > summary")).await;
    browser.until("the question is open", &format!("document.querySelector('details[open] {form}')")).await;
    browser.follow(&format!("{form} button")).await;
}

/// A campaign that takes a while.
async fn slow(scene: &mut Scene) {
    let mut job = send_job("slow", people(400));
    job["id"] = "gen-slow".into();
    scene.run("generate", &job).await;
}

#[tokio::test]
async fn a_campaign_is_paused_resumed_and_cancelled_by_clicks_and_the_audit_says_by_whom() {
    let mut scene = Scene::with("rate_per_second = 5\n", |_| {}).await;
    scene.settings = scene.settings.toml(&tokens());
    let daemon = scene.daemon().await;
    slow(&mut scene).await;
    let (mut browser, base) = logged_in(&daemon, ANA).await;
    browser.open(&format!("{base}/dashboard/campaigns/slow")).await;
    browser.follow(&form("pause", " button")).await;
    browser.until_it_says("It is paused.").await;
    scene.campaign_is("slow", "paused").await;
    assert_eq!(scene.campaign("slow").await["paused_by"].split(':').nth(1), Some("ana"));
    browser.until_it_says("it goes on only when somebody acts").await;
    assert!(browser.text().await.contains("remesa campaign resume slow"), "it says what to type");
    // What was said once is not said again.
    browser.open(&format!("{base}/dashboard/campaigns/slow")).await;
    assert!(!browser.text().await.contains("It is paused."));
    browser.follow(&form("resume", " button")).await;
    browser.until_it_says("It goes on.").await;
    scene.campaign_is("slow", "running").await;

    browser.follow("a[href='/dashboard/campaigns/slow/runs/delivery%401']").await;
    surely(&mut browser, "cancel", "").await;
    browser.until_it_says("It is cancelled.").await;
    assert_eq!(scene.delivery("slow").await["state"], "cancelled");

    browser.follow("nav a[href='/dashboard/audit']").await;
    let text = browser.text().await;
    for (action, count) in [("pause", 1), ("resume", 1), ("cancel", 1)] {
        let rows = format!(
            "[...document.querySelectorAll('tbody tr')].filter((row) => row.cells[0].textContent === 'ana' \
                            && row.cells[2].textContent === '{action}' && row.cells[4].textContent === 'Done').length"
        );
        assert_eq!(browser.eval(&rows).await, count, "{action} in {text}");
    }
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

#[tokio::test]
async fn a_button_that_comes_too_late_is_refused_with_the_state_and_what_it_allows() {
    let mut scene = Scene::with("rate_per_second = 5\n", |_| {}).await;
    scene.settings = scene.settings.toml(&tokens());
    let daemon = scene.daemon().await;
    slow(&mut scene).await;
    let (mut browser, base) = logged_in(&daemon, ANA).await;
    browser.open(&format!("{base}/dashboard/campaigns/slow")).await;
    // A page that somebody left open, without anything that keeps it up to date.
    browser.eval("document.getElementById('main').querySelector('details[data-act]').open = true").await;
    scene.command(json!({"action": "cancel", "campaign": "slow"})).await;
    browser.follow(&form("pause", " button")).await;
    browser.until_it_says("wrong_state").await;
    let said = browser.eval("document.querySelector('.said.refused').textContent").await;
    assert!(said.as_str().is_some_and(|said| said.contains("cancelled")), "{said}");
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

#[tokio::test]
async fn what_failed_is_sent_again_a_channel_paused_a_run_begun_and_a_refused_job_replayed() {
    let (mut scene, daemon) = stage().await;
    scene
        .enqueue("send", &json!({"id": "early", "message": "m", "campaign": "later", "channel": "sms", "text": "Hola"}))
        .await;
    scene.ended("early").await;
    let (mut browser, base) = logged_in(&daemon, ANA).await;

    browser.open(&format!("{base}/dashboard/campaigns/nov-dues/runs/delivery%401")).await;
    surely(&mut browser, "retry", "").await;
    browser.until_it_says("queued again").await;
    scene.counted("nov-dues", "failed", 1).await;

    browser.open(&format!("{base}/dashboard/channels")).await;
    browser.follow(&form("pause", " button")).await;
    browser.until_it_says("It is paused.").await;
    browser.until_it_says("Paused: ").await;
    browser.follow(&form("resume", " button")).await;
    browser.until_it_says("It goes on.").await;

    browser.open(&format!("{base}/dashboard/campaigns/nov-dues/recurring/weekly")).await;
    surely(&mut browser, "run_now", "").await;
    browser.until_it_says("A run has begun.").await;
    browser.until("the run is shown", "document.querySelector('a[href*=\"/runs/weekly%40\"]')").await;

    // What it was refused for is there by now.
    let cases = json!([{"id": "c-1", "first_name": "Ana", "mobile": "+34600000001"}]);
    scene.run("import", &json!({"id": "imp-later", "campaign": "later", "country": "ES", "rows": cases})).await;
    browser.open(&format!("{base}/dashboard/letters/rejected?code=unknown_campaign")).await;
    browser.follow("tbody th a").await;
    surely(&mut browser, "replay", "").await;
    browser.until_it_says("The job is in its queue again.").await;
    scene.done("early").await;
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

#[tokio::test]
async fn a_reader_has_no_buttons() {
    let (_scene, daemon) = stage().await;
    let (mut browser, base) = logged_in(&daemon, EVA).await;
    for path in
        ["/dashboard/campaigns/nov-dues", "/dashboard/campaigns/nov-dues/runs/delivery%401", "/dashboard/channels"]
    {
        browser.open(&format!("{base}{path}")).await;
        assert_eq!(browser.eval("document.querySelectorAll('form[action=\"/actions\"]').length").await, 0, "{path}");
    }
    browser.follow("form[action='/logout'] button").await;
    browser.until_it_says("The token that the configuration has for you").await;
}
