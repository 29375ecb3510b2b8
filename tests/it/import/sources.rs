//! Cases from files, lists and addresses; several imports at once.

use redis::AsyncCommands as _;
use serde_json::{Value, json};

use super::{case, case_audit, clients, import_job};
use crate::support::scene::{Scene, codes, errors};

fn import_from(campaign: &str, id: &str, rows_from: &Value) -> Value {
    json!({"id": id, "campaign": campaign, "country": "ES", "rows_from": rows_from})
}

#[tokio::test]
async fn a_csv_file_has_contact_columns_by_kind_and_an_empty_cell_says_that_there_is_none() {
    let mut scene = Scene::new().await;
    let file = "Id;Nombre;Apellidos;Fecha de nacimiento;Etiquetas;Móvil;Móvil 2;Correo;Plan\n\
                c-1;Ana;Ruiz;1990-02-28;vip|north;600 00 00 01;600 00 00 02;ana@example.com;gold\n\
                c-2;Eva;\"López\nGarcía\";;;600 00 00 03;;;silver\n\
                ;Sin id;;;;;;;\n\
                c-4;Luis;;31/12/1999;;;;;\n";
    scene.settings.spool("cases.csv", file);
    let _daemon = scene.daemon().await;
    let result = scene.run("import", &import_from("c", "one", &json!({"file": "cases.csv"}))).await;
    assert_eq!((&result["created"], &result["refused"]), (&2.into(), &2.into()), "{result}");
    assert_eq!(codes(&errors(&mut scene, "c").await), [(5, "missing_id"), (6, "invalid_date")]);
    let first = case(&mut scene, "c", 1).await;
    let client =
        json!({"first_name": "Ana", "last_name": "Ruiz", "birth_date": "1990-02-28", "labels": ["vip", "north"]});
    assert_eq!((&first["client"], &first["vars"]), (&client, &json!({"Plan": "gold"})));
    assert_eq!(first["contacts"].as_array().unwrap().len(), 3);
    // The next export of that system: one number less. A file without contact columns says nothing of them.
    scene.settings.spool("next.csv", "id;movil;movil_2;correo\nc-1;600 00 00 02;;\n");
    scene.run("import", &import_from("c", "two", &json!({"file": "next.csv"}))).await;
    scene.settings.spool("names.csv", "id;nombre\nc-1;Ana María\n");
    scene.run("import", &import_from("c", "three", &json!({"file": "names.csv"}))).await;
    let first = case(&mut scene, "c", 1).await;
    let gone: Vec<_> = first["contacts"].as_array().unwrap().iter().map(|c| c["gone"] == true).collect();
    assert_eq!(gone, [true, false, true], "{first}");
    assert_eq!((&first["client"]["first_name"], &first["client"]["last_name"]), (&"Ana María".into(), &"Ruiz".into()));
    case_audit(&mut scene, "c").await;
    // The rows that were refused, mended, are a source again.
    let mended = "error_line;error_code;error_sentence;Id;Nombre\n5;missing_id;x;c-3;Con id\n";
    scene.settings.spool("mended.csv", mended);
    let result = scene.run("import", &import_from("c", "four", &json!({"file": "mended.csv"}))).await;
    assert_eq!(result["created"], 1);
    assert_eq!(case(&mut scene, "c", 3).await.get("vars"), None);
}

#[tokio::test]
async fn a_file_without_ids_or_with_two_columns_of_one_name_is_refused_as_a_whole() {
    let mut scene = Scene::new().await;
    scene.settings.spool("no-id.csv", "nombre,movil\nAna,600000001\n");
    scene.settings.spool("twice.csv", "id,movil,Celular\n1,600000001,600000002\n");
    let _daemon = scene.daemon().await;
    scene.enqueue("import", &import_from("c", "no-id", &json!({"file": "no-id.csv"}))).await;
    let (code, sentence) = scene.refused("no-id").await;
    assert_eq!(code, "missing_column");
    assert!(sentence.contains("\"id\""), "{sentence}");
    scene.enqueue("import", &import_from("c", "twice", &json!({"file": "twice.csv"}))).await;
    assert_eq!(scene.refused("twice").await.0, "duplicate_column");
    scene.enqueue("import", &import_from("c", "gone", &json!({"file": "gone.csv"}))).await;
    assert_eq!(scene.refused("gone").await.0, "source_missing");
    assert!(scene.campaign("c").await.is_empty(), "a refused job has done nothing");
}

#[tokio::test]
async fn a_list_and_a_packed_ndjson_file_bring_cases_and_nothing_is_left_behind() {
    let mut scene = Scene::new().await;
    for row in clients(30) {
        let () = scene.db.rpush("crm:clients", row.to_string()).await.unwrap();
    }
    let ndjson: String = clients(40).iter().map(Value::to_string).collect::<Vec<_>>().join("\n");
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut packed, ndjson.as_bytes()).unwrap();
    scene.settings.spool("clients.ndjson.gz", packed.finish().unwrap());
    let _daemon = scene.daemon().await;
    let result = scene.run("import", &import_from("c", "list", &json!({"list": "crm:clients"}))).await;
    assert_eq!(result["created"], 30);
    assert!(!scene.settings.state_dir().join("staging").join("list").exists());
    let result = scene.run("import", &import_from("c", "file", &json!({"file": "clients.ndjson.gz"}))).await;
    assert_eq!((&result["created"], &result["unchanged"]), (&10.into(), &30.into()));
    assert_eq!(scene.db.llen::<_, u64>("crm:clients").await.unwrap(), 30, "a list is read, not consumed");
    assert_eq!(case_audit(&mut scene, "c").await, 40);
    let left: i64 = scene.db.pttl("remesa:{c}:import:file").await.unwrap();
    assert!((1..=3_600_000).contains(&left), "the checkpoint goes by itself: {left}");
}

#[tokio::test]
async fn two_imports_of_one_campaign_at_once_number_each_case_once() {
    let mut scene = Scene::new().await;
    scene.settings = scene.settings.toml("[sources]\nslice_rows = 5\n");
    let _one = scene.daemon().await;
    let other = scene.settings.instance("other");
    let _other = crate::support::daemon::Daemon::start(&other).await;
    let ids = ["a", "b", "c", "d"];
    for (n, id) in ids.iter().enumerate() {
        let mut rows = clients(150);
        rows.rotate_left(37 * n);
        let mut job = import_job("c", rows);
        job["id"] = (*id).into();
        scene.enqueue("import", &job).await;
    }
    let mut created = 0;
    for id in ids {
        let result = scene.done(id).await;
        assert_eq!(result["cases"], 150, "{result}");
        created += result["created"].as_u64().unwrap();
    }
    assert_eq!(created, 150);
    assert_eq!(case_audit(&mut scene, "c").await, 150);
}
