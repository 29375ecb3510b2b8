//! Every way a spreadsheet and a server go wrong: a sentence, a code, nothing lost, nothing else slowed.

use std::io::Write as _;

use flate2::{Compression, write::GzEncoder};
use serde_json::json;

use crate::support::provider::{Act, Receiver, answer, files_from};
use crate::support::scene::{Scene, codes, errors, generate_from, people, send_job};

/// The rows of a file that is generated all the same: orders, and lines with the codes of those refused.
async fn read(content: &[u8]) -> (Scene, serde_json::Value, Vec<(u64, String)>) {
    let mut scene = Scene::new().await;
    scene.settings.spool("nov.csv", content);
    let _daemon = scene.daemon().await;
    let result = scene.run("generate", &generate_from("c", json!({"file": "nov.csv"}))).await;
    let errors = errors(&mut scene, "c").await;
    let codes = codes(&errors).into_iter().map(|(line, code)| (line, code.to_owned())).collect();
    (scene, result, codes)
}

fn expected(codes: &[(u64, &str)]) -> Vec<(u64, String)> {
    codes.iter().map(|(line, code)| (*line, (*code).to_owned())).collect()
}

#[tokio::test]
async fn po_9_amounts_with_a_comma_a_point_or_separators_are_refused_and_never_guessed() {
    let file = "importe;nota\n12,50;decimal comma\n12.50;decimal point\n1.250;thousands\n\"1,250.00\";both\n1 250;blank\n\
                1250 €;sign\n1250;good\n1e3;exponent\n";
    let (_, result, refused) = read(file.as_bytes()).await;
    let codes: Vec<_> = [2, 3, 4, 5, 6, 7, 9].map(|line| (line, "amount_not_an_integer")).to_vec();
    assert_eq!(refused, expected(&codes));
    assert_eq!(result["orders"], 1);
}

#[tokio::test]
async fn po_10_a_row_without_a_currency_needs_one_of_the_job_and_unknown_ones_are_refused() {
    let mut scene = Scene::new().await;
    scene.settings.spool("nov.csv", "importe,moneda\n1,\n2,MXN\n3,XQQ\n4,eur\n");
    let _daemon = scene.daemon().await;
    let mut job = generate_from("c", json!({"file": "nov.csv"}));
    job.as_object_mut().unwrap().remove("currency");
    let result = scene.run("generate", &job).await;
    assert_eq!(result["orders"], 2);
    assert_eq!(codes(&errors(&mut scene, "c").await), [(2, "currency_missing"), (4, "unknown_currency")]);
}

#[tokio::test]
async fn phones_that_a_spreadsheet_destroyed_are_counted_and_warned_of_and_their_orders_exist() {
    let file = "importe;telefono\n1;3.46E+10\n2;3,46E+10\n3;34600123456.0\n4;600123456\n5;\n6;call me\n";
    let (scene, result, refused) = read(file.as_bytes()).await;
    assert!(refused.is_empty(), "{refused:?}");
    assert_eq!((&result["orders"], &result["without_valid_contact"]), (&6.into(), &5.into()));
    let by_code = json!({"phone_in_scientific_notation": 3, "invalid_phone": 1});
    assert_eq!(result["contacts_refused_by_code"], by_code);
    assert_eq!(result["warnings"][0]["code"], "spreadsheet_phones");
    assert!(result["warnings"][0]["sentence"].as_str().unwrap().contains("line 2"), "{}", result["warnings"]);
    drop(scene);
}

#[tokio::test]
async fn po_3_the_same_number_twice_is_two_debts_two_orders_and_two_messages() {
    let mut scene = Scene::new().await;
    let _daemon = scene.daemon().await;
    let mut rows = people(2);
    rows[1]["SMScontact"] = rows[0]["SMScontact"].clone();
    scene.run("generate", &send_job("c", rows)).await;
    scene.finished("c").await;
    assert_eq!(scene.order("c", 1).await["contact"], scene.order("c", 2).await["contact"]);
    assert_eq!(scene.sandbox.stats().counts.accepted, 2);
}

#[tokio::test]
async fn po_22_a_reference_that_stands_twice_is_generated_and_warned_of() {
    let (_, result, refused) = read(b"importe,referencia\n1,A\n2,B\n3,A\n4,\n5,\n6,A \n").await;
    assert!(refused.is_empty(), "{refused:?}");
    assert_eq!((&result["orders"], &result["warnings"][0]["code"]), (&6.into(), &"duplicate_reference".into()));
    let sentence = result["warnings"][0]["sentence"].as_str().unwrap();
    assert!(sentence.starts_with("2 rows") && sentence.contains("line 4"), "{sentence}");
}

#[tokio::test]
async fn empty_columns_behind_a_repeated_header_and_short_rows_cost_only_themselves() {
    let file = "importe;nombre;;\n1;Ana;;\n2;Eva;;;;\nimporte;nombre;;\n3\n4;Pau;;;x\n5;Luis\n";
    let (_, result, refused) = read(file.as_bytes()).await;
    assert_eq!(refused, expected(&[(4, "repeated_header"), (5, "field_count"), (6, "field_count")]));
    assert_eq!(result["orders"], 3);
}

#[tokio::test]
async fn a_file_in_latin_1_is_read_and_warned_of_and_a_mixed_one_is_not_mangled() {
    let (mut scene, result, refused) = read(b"importe;A\xf1o;concepto\n1;2026;Cuota de ma\xf1ana\n").await;
    assert!(refused.is_empty());
    assert_eq!(result["warnings"][0]["code"], "latin1_source");
    let order = scene.order("c", 1).await;
    assert_eq!((&order["concept"], &order["vars"]["Año"]), (&"Cuota de mañana".into(), &"2026".into()));

    let (scene, result, refused) = read(b"importe;concepto\n1;ma\xc3\xb1ana\n2;ma\xf1ana\n3;hoy\n").await;
    assert_eq!((refused, &result["orders"]), (expected(&[(3, "not_utf8")]), &2.into()));
    let kept = std::fs::read(scene.settings.spool_dir().join("errors/gen-c.csv")).unwrap();
    assert!(kept.ends_with(b";2;ma\xf1ana\n"), "{}", String::from_utf8_lossy(&kept));
}

/// Enqueues a job over each file and expects its code; a job beside them is done all the same.
async fn refusals(scene: &mut Scene, cases: &[(&str, &str)]) {
    let _daemon = scene.daemon().await;
    for (n, (file, _)) in cases.iter().enumerate() {
        scene.enqueue("generate", &generate_from(&format!("c{n}"), json!({"file": file}))).await;
    }
    scene.run("generate", &send_job("well", people(3))).await;
    for (n, (file, code)) in cases.iter().enumerate() {
        let (refused, sentence) = scene.refused(&format!("gen-c{n}")).await;
        assert_eq!(refused, *code, "{file}: {sentence}");
        assert!(sentence.contains(file) && sentence.len() > 30, "{sentence}");
        // Nothing is generated, nothing is half there.
        assert!(scene.campaign(&format!("c{n}")).await.is_empty());
    }
}

#[tokio::test]
async fn files_that_are_no_rows_are_refused_before_anything_is_generated() {
    let mut scene = Scene::new().await;
    let settings = &scene.settings;
    settings.spool("empty.csv", "");
    settings.spool("header.csv", "amount,name\n\n");
    settings.spool("one-column.csv", "total\n1\n");
    settings.spool("binary.csv", [0x89, b'P', b'N', b'G', 0, 1, 2, b'\n', 0]);
    settings.spool("page.csv", "<html><body>Not found</body></html>");
    settings.spool("many.csv", format!("amount\n{}", "1\n".repeat(60)));
    let mut packer = GzEncoder::new(Vec::new(), Compression::best());
    packer.write_all(b"amount\n").unwrap();
    for _ in 0..200 {
        packer.write_all(&b"1\n".repeat(1 << 19)).unwrap();
    }
    settings.spool("bomb.csv.gz", packer.finish().unwrap());
    for (name, beginning) in [("line.csv", ""), ("long-row.csv", "amount\n1\n")] {
        settings.spool(name, beginning);
        let file = std::fs::File::options().write(true).open(settings.spool_dir().join(name)).unwrap();
        file.set_len(3 << 30).unwrap();
    }
    scene.settings = scene.settings.set("sources.max_rows", "50").set("sources.max_bytes", "100000000");
    let cases = [
        ("empty.csv", "source_empty"),
        ("header.csv", "source_empty"),
        ("one-column.csv", "missing_column"),
        ("binary.csv", "source_unsupported"),
        ("page.csv", "source_unsupported"),
        ("many.csv", "too_many_rows"),
        ("bomb.csv.gz", "too_many_rows"),
        ("line.csv", "source_too_big"),
        ("long-row.csv", "source_too_big"),
    ];
    refusals(&mut scene, &cases).await;
    scene.settings = scene.settings.set("sources.max_rows", "100000000").set("sources.max_bytes", "5000000");
    let _daemon = scene.daemon().await;
    scene.enqueue("generate", &generate_from("bomb", json!({"file": "bomb.csv.gz"}))).await;
    assert_eq!(scene.refused("gen-bomb").await.0, "source_too_big");
}

#[tokio::test]
async fn a_line_of_3_gb_is_refused_in_bounded_time_and_memory() {
    let mut scene = Scene::new().await;
    scene.settings.spool("line.csv", "");
    let file = std::fs::File::options().write(true).open(scene.settings.spool_dir().join("line.csv")).unwrap();
    file.set_len(3 << 30).unwrap();
    scene.settings = scene.settings.set("sources.max_bytes", "1099511627776");
    let daemon = scene.daemon().await;
    scene.enqueue("generate", &generate_from("c", json!({"file": "line.csv"}))).await;
    let (code, _) = scene.refused("gen-c").await;
    assert_eq!(code, "line_too_long");
    let status = std::fs::read_to_string(format!("/proc/{}/status", daemon.id())).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let kib: u64 = peak.trim().trim_end_matches("kB").trim().parse().unwrap();
    assert!(kib < 80 * 1024, "{kib} KiB");
}

#[tokio::test]
async fn an_address_that_hangs_breaks_off_or_answers_nonsense_harms_nothing_else() {
    let mut scene = Scene::new().await;
    let half = b"HTTP/1.1 200 OK\r\nContent-Type: text/csv\r\nContent-Length: 5000\r\n\r\namount\n1\n".to_vec();
    let page = Act::Write(answer("text/html; charset=utf-8", b"<html></html>"));
    let masked = Act::Write(answer("text/csv", b"\n<!doctype html><html></html>"));
    let gone = Act::Reply { status: 404, headers: Vec::new(), body: "no".to_owned() };
    let ill = Act::Reply { status: 503, headers: Vec::new(), body: "later".to_owned() };
    let cases = [
        (Act::Silence, "attempts_exhausted", "silent"),
        (Act::Write(half), "attempts_exhausted", "broke off"),
        (ill, "attempts_exhausted", "503"),
        (gone, "url_refused", "404"),
        (page, "source_unsupported", "web page"),
        (masked, "source_unsupported", "web page"),
    ];
    let servers: Vec<_> = cases.iter().map(|(act, _, _)| Receiver::start([act.clone()])).collect();
    let hosts: Vec<_> = servers.iter().map(|server| server.url().replace("http://", "")).collect();
    scene.settings = files_from(scene.settings, &servers[0])
        .set("sources.url_hosts", &hosts.join(","))
        .set("jobs.max_attempts", "2")
        .set("jobs.retry_base", "10ms");
    let _daemon = scene.daemon().await;
    for (n, server) in servers.iter().enumerate() {
        let from = json!({"url": format!("{}/nov.csv", server.url())});
        scene.enqueue("generate", &generate_from(&format!("c{n}"), from)).await;
    }
    scene.run("generate", &send_job("well", people(3))).await;
    for (n, (_, code, word)) in cases.iter().enumerate() {
        let (ended, sentence) = scene.refused(&format!("gen-c{n}")).await;
        assert_eq!(ended, *code, "{sentence}");
        assert!(sentence.contains(word), "{sentence}");
        assert!(scene.campaign(&format!("c{n}")).await.is_empty());
    }
}
