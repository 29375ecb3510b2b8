//! The error file: all refused rows as they came, not only those that Redis keeps, and its end at the bound.

use serde_json::json;

use crate::support::scene::{Scene, errors, generate_from, generate_job};

#[tokio::test]
async fn every_refused_row_stands_in_the_error_file_and_a_mended_one_is_a_source() {
    let mut scene = Scene::new().await;
    let rows: Vec<String> = (1..=30).map(|n| format!("k-{n};\"{n},50\";A-{n}\n")).collect();
    scene.settings.spool("nov.csv", format!("Clave;Importe;Referencia\nk-0;1;A-0\n{}", rows.concat()));
    scene.settings = scene.settings.set("sources.kept_errors", "3");
    let _daemon = scene.daemon().await;
    let result = scene.run("generate", &generate_from("c", json!({"file": "nov.csv"}))).await;
    assert_eq!((&result["orders"], &result["refused"]), (&1.into(), &30.into()));
    assert_eq!(result["refused_by_code"], json!({"amount_not_an_integer": 30}));
    assert_eq!(result["error_file"], "errors/gen-c.csv");
    assert_eq!(scene.campaign("c").await["error_file"], "errors/gen-c.csv");
    assert_eq!(errors(&mut scene, "c").await.len(), 3);
    let path = scene.settings.spool_dir().join("errors/gen-c.csv");
    let text = std::fs::read_to_string(&path).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], "error_line;error_code;error_sentence;Clave;Importe;Referencia");
    assert!(lines[1].starts_with("3;amount_not_an_integer;\"amount "), "{}", lines[1]);
    assert!(lines[30].ends_with(";k-30;\"30,50\";A-30"), "{}", lines[30]);
    std::fs::write(path, text.replace(",50\"", "50\"")).unwrap();
    let mut again = generate_from("c", json!({"file": "errors/gen-c.csv"}));
    again["id"] = "mended".into();
    again["append"] = true.into();
    let result = scene.run("generate", &again).await;
    assert_eq!((&result["orders"], &result["refused"]), (&30.into(), &0.into()));
    assert_eq!(scene.order("c", 2).await.get("vars"), scene.order("c", 1).await.get("vars"));
}

#[tokio::test]
async fn po_25_what_a_spreadsheet_would_run_is_a_text_in_the_error_file_and_itself_again_when_it_is_read() {
    let mut scene = Scene::new().await;
    let rows = "k-1;x;=HYPERLINK(\"y\");+34600000001\nk-2;y;\"@SUM(A1)\";+34600000002\nk-3;-5;-1-2;600000003\n";
    scene.settings.spool("nov.csv", format!("key;amount;reference;SMScontact\nk-0;1;A-0;+34600000000\n{rows}"));
    let _daemon = scene.daemon().await;
    assert_eq!(scene.run("generate", &generate_from("c", json!({"file": "nov.csv"}))).await["refused"], 3);
    let path = scene.settings.spool_dir().join("errors/gen-c.csv");
    let text = std::fs::read_to_string(&path).unwrap();
    for cell in [";'=HYPERLINK(\"y\");'+34600000001\n", ";\"'@SUM(A1)\";'+34600000002\n", ";'-5;'-1-2;600000003\n"] {
        assert!(text.contains(cell), "{text}");
    }
    // Mended in part: what is still wrong stands in an error file of its own, which is a source, too.
    std::fs::write(&path, text.replace(";k-1;x;", ";k-1;1;").replace(";'-5;", ";5;")).unwrap();
    for (id, from, refused) in [("mended", "gen-c", 1), ("again", "mended", 0)] {
        let mut job = generate_from("c", json!({"file": format!("errors/{from}.csv")}));
        (job["id"], job["append"]) = (id.into(), true.into());
        assert_eq!(scene.run("generate", &job).await["refused"], refused, "{id}");
        let next = scene.settings.spool_dir().join(format!("errors/{id}.csv"));
        if refused > 0 {
            let text = std::fs::read_to_string(&next).unwrap();
            std::fs::write(next, text.replace(";k-2;y;", ";k-2;2;")).unwrap();
        }
    }
    for (number, reference, contact) in
        [(2, "=HYPERLINK(\"y\")", "+34600000001"), (3, "-1-2", "+34600000003"), (4, "@SUM(A1)", "+34600000002")]
    {
        let order = scene.order("c", number).await;
        assert_eq!((&order["reference"], &order["contact"]), (&reference.into(), &contact.into()), "{order}");
    }
}

#[tokio::test]
async fn the_rows_of_the_job_itself_are_refused_into_ndjson() {
    let mut scene = Scene::new().await;
    let _daemon = scene.daemon().await;
    let rows = vec![json!({"amount": 1}), json!({"amount": 12.5, "name": "Ana"})];
    let result = scene.run("generate", &generate_job("c", rows)).await;
    let path = scene.settings.spool_dir().join(result["error_file"].as_str().unwrap());
    let row: serde_json::Value = serde_json::from_str(std::fs::read_to_string(path).unwrap().trim_end()).unwrap();
    assert_eq!((&row["error_line"], &row["amount"], &row["name"]), (&2.into(), &json!(12.5), &"Ana".into()));
}

#[tokio::test]
async fn an_error_file_that_is_full_or_cannot_be_written_is_warned_of_and_stops_no_order() {
    let mut scene = Scene::new().await;
    let rows: Vec<String> = (1..=30).map(|n| format!("{n}.5,A-{n}\n")).collect();
    scene.settings.spool("nov.csv", format!("amount,reference\n1,B\n{}", rows.concat()));
    scene.settings = scene.settings.set("sources.error_file_max_bytes", "500");
    let _daemon = scene.daemon().await;
    let result = scene.run("generate", &generate_from("c", json!({"file": "nov.csv"}))).await;
    assert_eq!((&result["orders"], &result["refused"]), (&1.into(), &30.into()));
    assert_eq!(result["warnings"][0]["code"], "error_file_incomplete");
    let path = scene.settings.spool_dir().join("errors/gen-c.csv");
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.len() <= 500 && text.ends_with('\n') && text.lines().count() > 1, "{text}");
    // Something else stands in the place of the folder.
    std::fs::remove_dir_all(path.parent().unwrap()).unwrap();
    scene.settings.spool("errors", "");
    let result = scene.run("generate", &generate_from("d", json!({"file": "nov.csv"}))).await;
    assert_eq!((&result["orders"], result.get("error_file")), (&1.into(), None));
    assert!(result["warnings"].to_string().contains("30 of 30 refused rows"), "{}", result["warnings"]);
}
