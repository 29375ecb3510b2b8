//! An installation with something of everything on it, for the pages to show.

use serde_json::json;

use crate::support::daemon::Daemon;
use crate::support::scene::{Scene, people, phone, send_job};
use crate::support::visitor::tokens;
use remesa::sandbox::Fate;

/// What a field may say that wants to be more than text.
pub(super) const HOSTILE: &str = "\"><script>document.title='taken'</script><img src=x onerror=alert(1)>'";

/// Pages of the stage, with a text that each shows in English.
pub(super) const PAGES: [(&str, &str); 22] = [
    ("/dashboard", "Messages a second"),
    ("/dashboard/campaigns", "nov-dues"),
    ("/dashboard/campaigns?state=delivered", "nov-dues"),
    ("/dashboard/campaigns/nov-dues", "Refused rows"),
    ("/dashboard/campaigns/nov-dues/runs/delivery%401", "no_valid_contact"),
    ("/dashboard/campaigns/nov-dues/orders", "INV-1"),
    ("/dashboard/campaigns/nov-dues/orders?delivery=skipped&reason=no_valid_contact&state=", "no_valid_contact"),
    ("/dashboard/campaigns/nov-dues/orders/1", "Provider's id"),
    ("/dashboard/campaigns/nov-dues/cases", "c-1"),
    ("/dashboard/campaigns/nov-dues/cases/1", "Contacts"),
    ("/dashboard/recurring", "weekly"),
    ("/dashboard/campaigns/nov-dues/recurring/weekly", "Coming due times"),
    ("/dashboard/channels", "Sent in the last hour"),
    ("/dashboard/letters/rejected", "unknown_field"),
    ("/dashboard/letters/dead", "No job is dead."),
    ("/dashboard/workers", "append-only file"),
    ("/dashboard/audit", "Before → after"),
    ("/dashboard/jobs/gen-nov", "gen-nov"),
    ("/dashboard/find?q=dues", "What can be found"),
    ("/dashboard/campaigns/hostile", "hostile"),
    ("/dashboard/campaigns/hostile/orders/1", "<img src=x onerror=alert(1)>"),
    ("/login", "Log in"),
];

/// A campaign that is delivered, its cases, a permanent message, a hostile campaign, a refused job; the first order's number
/// is refused by the provider.
pub(super) async fn stage() -> (Scene, Daemon) {
    let mut scene = Scene::with("", |sandbox| {
        sandbox.recipients.insert(phone(1), Fate::Refuse);
    })
    .await;
    scene.settings = scene.settings.toml(&tokens());
    let daemon = scene.daemon().await;
    let mut rows = people(30);
    for (n, row) in rows.iter_mut().enumerate() {
        row["reference"] = format!("INV-{}", n + 1).into();
    }
    rows[4].as_object_mut().unwrap().remove("SMScontact");
    rows[7]["amount"] = "12,x".into();
    let mut job = send_job("nov-dues", rows);
    (job["id"], job["name"]) = ("gen-nov".into(), "Dues of November".into());
    scene.run("generate", &job).await;
    let cases: Vec<_> = (1..=5)
        .map(|n| json!({"id": format!("c-{n}"), "first_name": "Ana", "mobile": phone(n), "labels": "vip", "order": n}))
        .collect();
    scene.run("import", &json!({"id": "imp", "campaign": "nov-dues", "country": "ES", "rows": cases})).await;
    scene
        .run(
            "recurring",
            &json!({"id": "rec", "recurring": "weekly", "campaign": "nov-dues", "channel": "sms", "every": "168h",
                    "starts_at": "2036-01-07T09:00:00+01:00", "timezone": "Europe/Madrid", "text": "Hola {{ first_name }}"}),
        )
        .await;
    for action in ["pause", "resume"] {
        scene.command(json!({"action": action, "campaign": "nov-dues", "recurring": "weekly"})).await;
    }
    let hostile = json!([{"key": HOSTILE, "reference": HOSTILE, "amount": 100, "concept": HOSTILE, "SMScontact": phone(9),
                          "name": HOSTILE}]);
    scene
        .run(
            "generate",
            &json!({"id": "gen-hostile", "campaign": "hostile", "name": HOSTILE, "currency": "EUR", "rows": hostile}),
        )
        .await;
    scene.enqueue("generate", &json!({"id": "bad", "campaign": "nov-dues", HOSTILE: 1, "rows": []})).await;
    scene.ended("bad").await;
    scene.campaign_is("nov-dues", "delivered").await;
    (scene, daemon)
}
