//! What rows become: new cases, changed cases, nothing; and what is refused.

use redis::AsyncCommands as _;
use serde_json::json;

use super::{case, case_audit, clients, import_job};
use crate::support::ledger::campaign_audit;
use crate::support::scene::{Scene, codes, errors, generate_job, people};

#[tokio::test]
async fn rows_become_cases_of_a_campaign_that_is_made_for_them() {
    let mut scene = Scene::new().await;
    let _daemon = scene.daemon().await;
    let rows = json!([
        {"id": "c-1", "client": {"first_name": "Ana", "last_name": "Ruiz", "labels": ["vip"], "plan": "gold"},
         "contacts": [{"kind": "mobile", "value": "600 12 34 56", "updated_at": "2026-11-01T09:00:00Z"}],
         "vars": {"debt": 12}, "origin": "crm"},
        {"ID": "c-2", "Nombre": "Eva", "Móvil": "600 00 00 02", "movil_2": "600 00 00 03", "E-mail": "Eva@Example.COM",
         "Etiquetas": "vip; north", "estado": "escalated", "ciudad": "Sevilla"},
        {"id": "c-3"},
    ]);
    let result = scene.run("import", &import_job("c", rows)).await;
    assert_eq!((&result["cases"], &result["created"], &result["refused"]), (&3.into(), &3.into(), &0.into()));
    assert_eq!((&result["without_contact"], &result["warnings"]), (&1.into(), &json!([])));
    let first = case(&mut scene, "c", 1).await;
    assert_eq!((&first["state"], &first["id"], &first["origin"]), (&"new".into(), &"c-1".into(), &"crm".into()));
    let client = json!({"first_name": "Ana", "last_name": "Ruiz", "labels": ["vip"], "plan": "gold"});
    assert_eq!((&first["client"], &first["vars"]), (&client, &json!({"debt": 12})));
    let contact = json!({"kind": "mobile", "value": "+34600123456", "updated_at": 1_793_523_600_000_i64});
    assert_eq!(first["contacts"], json!([contact]));
    let second = case(&mut scene, "c", 2).await;
    let values: Vec<_> = second["contacts"].as_array().unwrap().iter().map(|c| c["value"].as_str().unwrap()).collect();
    assert_eq!(values, ["+34600000002", "+34600000003", "Eva@example.com"]);
    assert_eq!((&second["state"], &second["vars"]), (&"escalated".into(), &json!({"ciudad": "Sevilla"})));
    assert_eq!(case(&mut scene, "c", 3).await.get("contacts"), None, "a case without contacts is a case");
    let campaign = scene.campaign("c").await;
    assert_eq!((campaign["state"].as_str(), campaign["cases"].as_str()), ("generated", "3"));
    assert_eq!((campaign["country"].as_str(), campaign["category"].as_str()), ("ES", "transactional"));
    case_audit(&mut scene, "c").await;
}

#[tokio::test]
async fn a_case_imported_again_is_updated_and_never_doubled() {
    let mut scene = Scene::new().await;
    let _daemon = scene.daemon().await;
    scene.run("import", &import_job("c", clients(50))).await;
    let before = case(&mut scene, "c", 1).await;
    let mut again = import_job("c", clients(50));
    again["id"] = "again".into();
    let result = scene.run("import", &again).await;
    assert_eq!((&result["created"], &result["updated"], &result["unchanged"]), (&0.into(), &0.into(), &50.into()));
    assert_eq!(case(&mut scene, "c", 1).await, before, "nothing new, nothing written");
    let mut rows = clients(52);
    rows[0]["first_name"] = "Ana María".into();
    rows[1]["mobile"] = "+34699999999".into();
    rows[2]["state"] = "closed".into();
    let mut changed = import_job("c", rows);
    changed["id"] = "changed".into();
    let result = scene.run("import", &changed).await;
    assert_eq!((&result["created"], &result["updated"], &result["unchanged"]), (&2.into(), &3.into(), &47.into()));
    assert_eq!(case(&mut scene, "c", 1).await["client"]["first_name"], "Ana María");
    let contacts = case(&mut scene, "c", 2).await["contacts"].clone();
    assert_eq!((&contacts[0]["gone"], &contacts[1]["value"]), (&true.into(), &"+34699999999".into()));
    assert_eq!(case(&mut scene, "c", 3).await["closed_reason"], "import");
    assert_eq!(scene.campaign("c").await["cases:closed"], "1");
    assert_eq!(case_audit(&mut scene, "c").await, 52);
}

#[tokio::test]
async fn bad_rows_and_bad_addresses_are_recorded_with_their_codes() {
    let mut scene = Scene::new().await;
    let rows = json!([
        {"first_name": "without id"},
        {"id": "bad-mail", "email": "ana@example.com\nBcc: all@example.com", "mobile": "600000001"},
        {"id": "html", "first_name": "<script>Ana</script>", "mobile": "600000002"},
        {"id": "fax", "contacts": [{"kind": "fax", "value": "910000000"}]},
        {"id": "spreadsheet", "mobile": "3.46E+10"},
        {"id": "dated", "birth_date": "1/2/1990"},
        {"id": "timed", "updated_at": "today"},
        {"id": "state", "state": "finished"},
        {"id": "no-order", "order": 7},
        {"id": "big", "v": "x".repeat(9000)},
    ]);
    let _daemon = scene.daemon().await;
    let result = scene.run("import", &import_job("c", rows)).await;
    assert_eq!((&result["cases"], &result["refused"]), (&3.into(), &7.into()), "{result}");
    let refused = json!({"missing_id": 1, "unknown_contact_kind": 1, "invalid_date": 1, "invalid_time": 1,
        "unknown_state": 1, "unknown_order": 1, "variables_too_big": 1});
    assert_eq!(result["refused_by_code"], refused);
    let contacts = json!({"invalid_email": 1, "phone_in_scientific_notation": 1});
    assert_eq!(result["contacts_refused_by_code"], contacts);
    let mut listed = errors(&mut scene, "c").await;
    listed.sort_by_key(|row| row["line"].as_u64());
    let expected = [
        (1, "missing_id"),
        (2, "invalid_email"),
        (4, "unknown_contact_kind"),
        (5, "phone_in_scientific_notation"),
        (6, "invalid_date"),
        (7, "invalid_time"),
        (8, "unknown_state"),
        (9, "unknown_order"),
        (10, "variables_too_big"),
    ];
    assert_eq!(codes(&listed), expected);
    assert!(listed[1]["error"].as_str().unwrap().contains("line break"), "{}", listed[1]);
    let campaign = scene.campaign("c").await;
    assert_eq!((campaign["refused"].as_str(), campaign.get("refused:invalid_email")), ("7", None));
    let file =
        std::fs::read_to_string(scene.settings.spool_dir().join(result["error_file"].as_str().unwrap())).unwrap();
    assert_eq!(file.lines().count(), 9, "{file}");
    let contacts = case(&mut scene, "c", 1).await["contacts"].clone();
    assert_eq!(contacts.as_array().unwrap().len(), 1, "the good number stands");
    assert_eq!(case(&mut scene, "c", 2).await["client"]["first_name"], "<script>Ana</script>");
    case_audit(&mut scene, "c").await;
}

#[tokio::test]
async fn an_import_of_which_nothing_can_be_taken_is_dead() {
    let mut scene = Scene::new().await;
    let _daemon = scene.daemon().await;
    scene.enqueue("import", &import_job("c", json!([{"first_name": "Ana"}]))).await;
    let (code, sentence) = scene.refused("imp-c").await;
    assert_eq!(code, "nothing_imported");
    assert!(sentence.contains("all 1 rows were refused"), "{sentence}");
}

#[tokio::test]
async fn the_last_row_of_an_id_counts_and_the_repetition_is_warned_of() {
    let mut scene = Scene::new().await;
    scene.settings = scene.settings.toml("[sources]\nslice_rows = 2\n");
    let _daemon = scene.daemon().await;
    let rows = json!([
        {"id": "a", "first_name": "one"},
        {"id": "a", "first_name": "two"},
        {"id": "b", "first_name": "three"},
        {"id": "a", "first_name": "four"},
    ]);
    let result = scene.run("import", &import_job("c", rows)).await;
    assert_eq!((&result["created"], &result["updated"]), (&2.into(), &2.into()));
    assert_eq!(result["warnings"][0]["code"], "duplicate_case");
    assert!(result["warnings"][0]["sentence"].as_str().unwrap().contains("2 rows have"), "{result}");
    assert_eq!(case(&mut scene, "c", 1).await["client"]["first_name"], "four");
    assert_eq!(case_audit(&mut scene, "c").await, 2);
}

#[tokio::test]
async fn a_case_carries_its_order_by_number_or_by_key_and_both_halves_share_a_campaign() {
    let mut scene = Scene::new().await;
    let _daemon = scene.daemon().await;
    // Cases first: the generate job takes the campaign that the import made.
    scene.run("import", &import_job("c", json!([{"id": "early"}]))).await;
    scene.run("generate", &generate_job("c", people(3))).await;
    let rows = json!([
        {"id": "by-number", "order": 2},
        {"id": "by-key", "order_key": "k-3"},
        {"id": "early", "order_key": "k-1"},
        {"id": "nobody", "order_key": "k-9"},
    ]);
    let mut job = import_job("c", rows);
    job["id"] = "second".into();
    let result = scene.run("import", &job).await;
    assert_eq!((&result["created"], &result["updated"], &result["refused"]), (&2.into(), &1.into(), &1.into()));
    assert_eq!(result["refused_by_code"], json!({"unknown_order": 1}));
    let orders = [case(&mut scene, "c", 1).await, case(&mut scene, "c", 2).await, case(&mut scene, "c", 3).await];
    assert_eq!(orders.map(|case| case["order"].as_u64().unwrap()), [1, 2, 3]);
    let text: String = scene.db.get("remesa:{c}:case:2").await.unwrap();
    assert!(text.starts_with("{\"state\":\"new\",\"order\":2,\"number\":2,"), "scripts read it by position: {text}");
    let campaign = scene.campaign("c").await;
    assert_eq!((campaign["state"].as_str(), campaign["job"].as_str()), ("generated", "gen-c"));
    campaign_audit(&mut scene.db, "c").await;
    case_audit(&mut scene, "c").await;
    // A second generate job is refused as ever.
    let mut again = generate_job("c", people(1));
    again["id"] = "again".into();
    scene.enqueue("generate", &again).await;
    assert_eq!(scene.refused("again").await.0, "campaign_exists");
}

#[tokio::test]
async fn a_cancelled_campaign_takes_no_cases_and_a_category_is_not_changed_from_behind() {
    let mut scene = Scene::new().await;
    let _daemon = scene.daemon().await;
    scene.run("import", &import_job("c", clients(1))).await;
    let mut other = import_job("c", clients(2));
    (other["id"], other["category"]) = ("other".into(), "commercial".into());
    scene.enqueue("import", &other).await;
    assert_eq!(scene.refused("other").await.0, "campaign_mismatch");
    scene.command(json!({"action": "cancel", "campaign": "c"})).await;
    let mut late = import_job("c", clients(2));
    late["id"] = "late".into();
    scene.enqueue("import", &late).await;
    let (code, sentence) = scene.refused("late").await;
    assert_eq!(code, "wrong_state");
    assert!(sentence.contains("is cancelled"), "{sentence}");
    assert_eq!(case_audit(&mut scene, "c").await, 1);
}
