//! The dashboard in a real browser: clicks, keys, both widths, light and dark, without scripts; and that nothing complains.

use std::path::Path;

use serde_json::json;

use crate::support::browser::Browser;
use crate::support::daemon::Daemon;
use crate::support::visitor::{ANA, EVA};

use super::stage::{PAGES, stage};

/// A browser in which somebody has logged in.
pub(super) async fn logged_in(daemon: &Daemon, token: &str) -> (Browser, String) {
    let base = format!("http://{}", daemon.http().await);
    let mut browser = Browser::start().await;
    browser.open(&format!("{base}/dashboard")).await;
    browser.until_it_says("Log in").await;
    // The field has the cursor.
    browser.write(token).await;
    browser.eval("window.left = true").await;
    browser.press("Enter").await;
    browser.until("the overview is there", "window.left !== true && document.querySelector('.charts')").await;
    // That one has to log in first is not an error of the page.
    browser.complaints();
    (browser, base)
}

/// Pictures of a test, where somebody wants to see them: `REMESA_PICTURES=/some/folder`.
async fn picture(browser: &mut Browser, name: &str) {
    let picture = browser.picture().await;
    assert!(picture.starts_with(b"\x89PNG") && picture.len() > 5_000, "{name} is a picture");
    if let Some(folder) = std::env::var_os("REMESA_PICTURES") {
        std::fs::write(Path::new(&folder).join(format!("{name}.png")), picture).unwrap();
    }
}

fn named(path: &str) -> String {
    path.trim_start_matches('/').chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect()
}

/// The checker of accessibility, which is not ours and not in this repository.
fn axe() -> String {
    let file = "target/tests/it/dashboard/node_modules/axe-core/axe.min.js";
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).expect("axe-core: scripts/setup browser")
}

/// What the checker finds, one line each. It knows the rules of WCAG 2 A and AA, contrast among them.
async fn faults(browser: &mut Browser, axe: &str) -> Vec<String> {
    browser.call("Runtime.evaluate", json!({ "expression": axe })).await;
    let run = "axe.run({ runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'best-practice'] }).then((found) => \
               found.violations.map((it) => it.id + ': ' + it.nodes.map((node) => node.html + ' ' + \
               node.failureSummary).join(' | ')))";
    serde_json::from_value(browser.eval(run).await).unwrap()
}

/// Looks at every page in a window, in light and dark.
async fn look_at_every_page(width: u32, height: u32) {
    let (_scene, daemon) = stage().await;
    let (mut browser, base) = logged_in(&daemon, ANA).await;
    let axe = axe();
    browser.window(width, height).await;
    for (path, _) in PAGES {
        browser.open(&format!("{base}{path}")).await;
        for is_dark in [false, true] {
            browser.darkness(is_dark).await;
            let name = format!("{}-{width}-{}", named(path), if is_dark { "dark" } else { "light" });
            let over = browser.eval("document.documentElement.scrollWidth - window.innerWidth").await;
            assert!(over.as_i64().unwrap() <= 0, "{name} is {over} too wide");
            picture(&mut browser, &name).await;
            let faults = faults(&mut browser, &axe).await;
            assert!(faults.is_empty(), "{name}:\n{}", faults.join("\n"));
        }
        let complaints = browser.complaints();
        assert!(complaints.is_empty(), "{path}: {complaints:?}");
    }
}

#[tokio::test]
async fn every_page_fits_a_phone_is_legible_in_light_and_dark_and_complains_of_nothing() {
    look_at_every_page(390, 844).await;
}

#[tokio::test]
async fn every_page_fits_a_desk_is_legible_in_light_and_dark_and_complains_of_nothing() {
    look_at_every_page(1280, 900).await;
}

#[tokio::test]
async fn one_clicks_from_the_overview_to_an_order_and_finds_another_by_keys_alone() {
    let (_scene, daemon) = stage().await;
    let (mut browser, _) = logged_in(&daemon, ANA).await;
    browser.follow("nav a[href='/dashboard/campaigns']").await;
    browser.follow("a[href='/dashboard/campaigns/nov-dues']").await;
    browser.until_it_says("Dues of November").await;
    browser.follow("a[href='/dashboard/campaigns/nov-dues/runs/delivery%401']").await;
    browser.until_it_says("no_valid_contact").await;
    browser.follow("a[href*='reason=no_valid_contact']").await;
    browser.follow("tbody th a").await;
    browser.until_it_says("no valid one").await;

    browser.press("/").await;
    browser.write("nov-dues 17").await;
    browser.eval("window.left = true").await;
    browser.press("Enter").await;
    browser.until("the order is there", "window.left !== true && location.pathname.endsWith('/orders/17')").await;
    browser.until_it_says("Order 17").await;
    // From the top of a page the first stop leads over the navigation.
    browser.press("Tab").await;
    browser.until("the way to the content has the focus", "document.activeElement.className === 'skip'").await;
    browser.press("Enter").await;
    browser.until("the content has the focus", "document.activeElement.id === 'main'").await;
    browser.press("Tab").await;
    let place = browser.eval("document.activeElement.closest('main') !== null").await;
    assert_eq!(place, true, "the next stop is in the content");
    let seen = browser.eval("getComputedStyle(document.activeElement).outlineStyle").await;
    assert_eq!(seen, "solid", "one sees where the focus is");
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

#[tokio::test]
async fn a_page_changes_by_itself_and_leaves_focus_and_scroll_where_they_are() {
    let (mut scene, daemon) = stage().await;
    let (mut browser, base) = logged_in(&daemon, ANA).await;
    browser.window(1280, 400).await;
    browser.open(&format!("{base}/dashboard/campaigns/nov-dues")).await;
    browser.until_it_says("Live").await;
    browser.eval("window.same = true; document.querySelector('#h-orders a').focus(); scrollTo(0, 120)").await;
    scene.command(json!({"action": "order_event", "campaign": "nov-dues", "order": 3, "event": "paid"})).await;
    browser.until("the page shows the payment", "document.querySelector('.badge[data-state=paid]')").await;
    let state = browser.eval("[window.same, document.activeElement.textContent, scrollY]").await;
    assert_eq!(state, json!([true, "Orders", 120]), "the same page, with its focus and its scroll");

    // While a field is being used nothing is swapped; then it goes on.
    browser.open(&format!("{base}/dashboard/campaigns")).await;
    browser.click("input[name=name]").await;
    browser.write("nov").await;
    browser.until_it_says("Waits while you write").await;
    assert_eq!(browser.eval("document.querySelector('input[name=name]').value").await, "nov");
    browser.eval("document.activeElement.blur()").await;
    browser.until_it_says("Live").await;
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

#[tokio::test]
async fn a_page_says_when_nobody_answers_keeps_what_it_showed_and_comes_back() {
    let (_scene, daemon) = stage().await;
    let (mut browser, base) = logged_in(&daemon, EVA).await;
    browser.open(&format!("{base}/dashboard/channels")).await;
    daemon.stop();
    // The browser gives a request up after 15 s; a refused one at once.
    browser
        .call(
            "Network.emulateNetworkConditions",
            json!({"offline": true, "latency": 0, "downloadThroughput": 0, "uploadThroughput": 0}),
        )
        .await;
    browser.until_it_says("No answer since").await;
    assert!(browser.text().await.contains("Sent in the last hour"));
    daemon.cont();
    browser
        .call(
            "Network.emulateNetworkConditions",
            json!({"offline": false, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}),
        )
        .await;
    browser.until("the page is live again", "document.querySelector('#pulse').textContent === 'Live'").await;
}

#[tokio::test]
async fn without_scripts_a_page_shows_all_and_is_loaded_again_by_itself() {
    let (_scene, daemon) = stage().await;
    let (mut browser, base) = logged_in(&daemon, ANA).await;
    browser.scripts(false).await;
    browser.speak("es-ES").await;
    browser.call("Page.navigate", json!({ "url": format!("{base}/dashboard") })).await;
    // The protocol still reads the page, though nothing of it runs.
    browser.until_it_says("Mensajes por segundo").await;
    let refresh = browser.eval("document.querySelector('meta[http-equiv=refresh]')?.content").await;
    assert_eq!(refresh, "10", "what stands in noscript holds");
    let text = browser.text().await;
    assert!(text.contains("nov-dues"), "{text}");
    browser.click("nav a[href='/dashboard/channels']").await;
    browser.until_it_says("Enviados en la última hora").await;
    browser.call("Page.navigate", json!({ "url": format!("{base}/dashboard/campaigns/nov-dues") })).await;
    browser.until_it_says("Filas rechazadas").await;
    assert!(browser.text().await.contains(" UTC"), "times are those of the server, and say so");
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

#[tokio::test]
async fn what_is_written_in_a_field_is_shown_as_it_is_and_does_nothing() {
    let (_scene, daemon) = stage().await;
    let (mut browser, base) = logged_in(&daemon, ANA).await;
    for path in ["/dashboard/campaigns/hostile", "/dashboard/campaigns/hostile/orders/1"] {
        browser.open(&format!("{base}{path}")).await;
        browser.until_it_says("<script>document.title='taken'</script>").await;
        assert_ne!(browser.eval("document.title").await, "taken", "{path}");
        assert_eq!(browser.eval("document.querySelectorAll('main img, main script').length").await, 0, "{path}");
    }
    assert_eq!(browser.complaints(), Vec::<String>::new());
}
