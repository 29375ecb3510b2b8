//! Every page as it is sent: in both languages, harmless, for whom it is.

use serde_json::Value;

use crate::support::visitor::{ANA, EVA, Visitor};

use super::stage::{HOSTILE, PAGES, stage};

/// Headers of every page.
const HEADERS: [(&str, &str); 6] = [
    ("cache-control", "no-store"),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("referrer-policy", "same-origin"),
    ("cross-origin-opener-policy", "same-origin"),
    ("vary", "accept-language"),
];

#[tokio::test]
async fn every_page_is_shown_in_both_languages_and_nothing_on_it_is_more_than_text() {
    let (_scene, daemon) = stage().await;
    let ana = Visitor::of(&daemon).await.logged_in(ANA).await;
    for language in ["en-GB,en;q=0.9", "es-CO,es;q=0.9,en;q=0.5"] {
        let reader = ana.with("accept-language", language);
        for (path, text) in PAGES {
            let page = reader.get(path).await;
            assert_eq!(page.status, 200, "{path}: {}", page.body);
            assert_eq!(page.header("content-language"), &language[..2], "{path}");
            assert!(page.body.contains(&format!("<html lang=\"{}\">", &language[..2])), "{path}");
            if language.starts_with("en") {
                assert!(page.body.contains(&escaped(text)), "{path} does not say {text}: {}", page.body);
            }
            for (name, value) in HEADERS {
                assert_eq!(page.header(name), value, "{path}");
            }
            let policy = page.header("content-security-policy");
            assert!(policy.starts_with("default-src 'none'; style-src 'self'; script-src 'self';"), "{policy}");
            assert!(!policy.contains("unsafe") && policy.contains("frame-ancestors 'none'"), "{policy}");
            assert!(!page.body.contains("<script>") && !page.body.contains("<img"), "{path}: {}", page.body);
            assert_eq!(page.body.matches("<script").count(), 1, "{path} has our script and no other");
        }
    }
}

/// A page without the signs that need not stand for a slash.
fn unescaped(page: &str) -> String {
    page.replace("&#x2f;", "/")
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('\'', "&#x27;")
}

#[tokio::test]
async fn a_page_that_is_not_there_says_so_with_its_status() {
    let (_scene, daemon) = stage().await;
    let ana = Visitor::of(&daemon).await.logged_in(ANA).await;
    for (path, status, text) in [
        ("/dashboard/nothing", 404, "There is no such page."),
        ("/dashboard/campaigns/nobody", 404, "There is no such campaign."),
        ("/dashboard/campaigns/nov-dues/runs/nobody", 404, "The campaign has no such run."),
        ("/dashboard/campaigns/nov-dues/orders/999999", 404, "There is no such order."),
        ("/dashboard/campaigns/nov-dues/orders/x", 400, "is a whole number"),
        ("/dashboard/campaigns/nov-dues/orders?state=nothing", 400, "no such state"),
        ("/dashboard/campaigns/nov-dues/orders?sort=up", 400, "is not known"),
        ("/dashboard/campaigns/nov-dues/cases/7777", 404, "There is no such case."),
        ("/dashboard/campaigns/nov-dues/recurring/nobody", 404, "The campaign has no such permanent message."),
        ("/dashboard/campaigns/%3Cscript%3E", 400, "is not a name"),
        ("/dashboard/letters/lost", 404, "There is no such page."),
        ("/dashboard/letters/dead?after=x", 400, "not the id of an entry"),
        ("/dashboard/letters/dead/1-0", 404, "There is no such job"),
        ("/dashboard/letters/dead/..%2F..%2Fetc", 404, "There is no such job"),
        ("/dashboard/jobs/nobody", 404, "No such job is known"),
        ("/dashboard/../metrics", 404, "There is no such page."),
    ] {
        let page = ana.get(path).await;
        if page.status == 200 {
            // The client took the dots out before it asked.
            assert!(path.contains("..") && page.body.contains("# EOF"), "{path}: {}", page.body);
            continue;
        }
        assert_eq!(page.status, status, "{path}: {}", page.body);
        assert!(page.body.contains(text), "{path}: {}", page.body);
        assert!(!page.body.contains("<script>"), "{path}");
    }
}

#[tokio::test]
async fn a_search_goes_to_the_one_thing_that_is_meant() {
    let (mut scene, daemon) = stage().await;
    let ana = Visitor::of(&daemon).await.logged_in(ANA).await;
    let order: Value = scene.order("nov-dues", 1).await;
    let code = order["short_code"].as_str().unwrap();
    let to_order = "/dashboard/campaigns/nov-dues/orders/1";
    for (sought, to) in [
        (code, to_order),
        (&*format!("https%3A%2F%2Fpay.example%2F%3Fp%3D{code}"), to_order),
        ("nov-dues", "/dashboard/campaigns/nov-dues"),
        ("nov-dues+17", "/dashboard/campaigns/nov-dues/orders/17"),
        ("+nov-dues%2F17+", "/dashboard/campaigns/nov-dues/orders/17"),
        ("gen-nov", "/dashboard/jobs/gen-nov"),
    ] {
        let led = ana.get(&format!("/dashboard/find?q={sought}")).await;
        assert_eq!((led.status, led.header("location")), (303, to), "{sought}");
    }
    let many = ana.get("/dashboard/find?q=o").await;
    assert!(many.status == 200 && many.body.contains("nov-dues") && many.body.contains("hostile"), "{}", many.body);
    let none = ana.get("/dashboard/find?q=%3Cscript%3E").await;
    assert!(
        none.body.contains("&lt;script&gt;") && none.body.contains("No campaign has it in its name"),
        "{}",
        none.body
    );
}

#[tokio::test]
async fn without_a_token_one_is_led_to_log_in_and_a_reader_sees_nobody_whole() {
    let (mut scene, daemon) = stage().await;
    let anybody = Visitor::of(&daemon).await.with("accept", "text/html");
    for (path, _) in PAGES.into_iter().filter(|(path, _)| path.starts_with("/dashboard")) {
        let led = anybody.get(path).await;
        assert!(
            led.status == 303 && led.header("location").starts_with("/login?refused=token_needed"),
            "{path}: {led:?}"
        );
    }
    let home = anybody.get("/").await;
    assert!(home.status == 303, "{home:?}");
    let log_in = anybody.get("/login?refused=unknown_token&return=https://evil.example/").await;
    assert!(log_in.status == 200 && log_in.body.contains("Nobody has this token."), "{}", log_in.body);
    assert!(!log_in.body.contains("evil.example"), "{}", log_in.body);

    let eva = Visitor::of(&daemon).await.logged_in(EVA).await;
    let number = scene.order("nov-dues", 2).await["contact"].as_str().unwrap().to_owned();
    let (mut order, mut letter) = (eva.get("/dashboard/campaigns/nov-dues/orders/2").await, String::new());
    assert!(!order.body.contains(&number) && order.body.contains("+34******"), "{}", order.body);
    order = eva.get("/dashboard/letters/rejected").await;
    if let Some((_, rest)) = unescaped(&order.body).split_once("href=\"/dashboard/letters/rejected/") {
        letter = rest.split('"').next().unwrap().to_owned();
    }
    let shown = eva.get(&format!("/dashboard/letters/rejected/{letter}")).await;
    assert!(shown.status == 200 && shown.body.contains("It may name people"), "{}", shown.body);
    assert!(shown.body.contains("(only looking)") && !shown.body.contains("action=\"/actions\""), "{}", shown.body);
}

#[tokio::test]
async fn style_and_script_are_kept_for_ever_under_the_address_of_their_content() {
    let (_scene, daemon) = stage().await;
    let anybody = Visitor::of(&daemon).await;
    let page = unescaped(&anybody.get("/login").await.body);
    let mut found = 0;
    for address in page.split('"').filter(|piece| piece.starts_with("/dashboard/assets/")) {
        let asset = anybody.get(address).await;
        assert_eq!((asset.status, asset.header("cache-control")), (200, "public, max-age=31536000, immutable"));
        assert!(!asset.body.is_empty() && !asset.body.contains(HOSTILE));
        found += 1;
    }
    assert_eq!(found, 3, "{page}");
    let ana = anybody.logged_in(ANA).await;
    assert_eq!(ana.get("/dashboard/assets/0000000000000000/style").await.status, 404);
}
