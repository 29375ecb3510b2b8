//! Filters as they are written, judged and asked.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

/// A case as it is stored.
fn case() -> String {
    json!({
        "state": "open", "order": 7, "number": 12, "id": "c-12", "origin": "import",
        "client": {
            "document_type": "CC", "document_number": "52.123.456-K", "first_name": "María José", "last_name": "ÑANDÚ",
            "birth_date": "1990-02-28", "gender": "F", "labels": ["VIP", "moroso"], "plan": "Gold", "since": 2019,
        },
        "contacts": [{"kind": "mobile", "value": "+573001234567", "updated_at": 1_795_942_800_000_i64}],
        "vars": {"saldo": 1250, "ratio": 12.5, "debt": "300.75", "due": "2026-12-01", "paid": false, "tags": ["a", 2],
                 "empty": "  ", "deep": {"saldo": 1}, "nothing": null, "na\"me": "x"},
        "created_at": 1_795_942_800_000_i64, // 2026-11-29T09:00:00Z
        "updated_at": 1_795_996_800_000_i64, // 2026-11-30T00:00:00Z
    })
    .to_string()
}

fn condition(column: &str, operator: &str, value: Value) -> Result<Condition, FilterError> {
    Condition::new(column, operator, Some(value).filter(|value| !value.is_null()))
}

fn holds(column: &str, operator: &str, value: Value) -> bool {
    let filter = Filter::new(vec![condition(column, operator, value).unwrap()], Vec::new()).unwrap();
    let stored: Filter = serde_json::from_value(serde_json::to_value(&filter).unwrap()).unwrap();
    assert_eq!(stored, filter, "a filter is read back from a run");
    filter.matches(&case()).unwrap()
}

#[test]
fn bm_20_every_operator_says_of_a_case_what_a_person_expects() {
    for (column, operator, value, expected) in [
        ("document_type", "equals", json!("cc"), true),
        ("Tipo de documento", "equals", json!(" CC "), true),
        ("document_number", "ends_with", json!("456-k"), true),
        ("document_number", "contains", json!("123"), true),
        ("document_number", "starts_with", json!("12"), false),
        ("first_name", "starts_with", json!("MARÍA"), true),
        ("first_name", "equals", json!("Maria José"), false),
        ("last_name", "equals", json!("n\u{303}andu\u{301}"), true),
        ("middle_name", "is_empty", json!(null), true),
        ("middle_name", "equals", json!("x"), false),
        ("middle_name", "not_equals", json!("x"), true),
        ("gender", "in", json!(["f", "x"]), true),
        ("gender", "not_equals", json!("F"), false),
        ("birth_date", "less", json!("1990-03-01"), true),
        ("birth_date", "greater", json!("1990-02-28"), false),
        ("birth_date", "between", json!(["1990-02-28", "1990-02-28"]), true),
        ("birth_date", "in", json!(["1990-02-27", "1990-02-28"]), true),
        ("created_at", "equals", json!("2026-11-29"), true),
        ("created_at", "greater", json!("2026-11-29"), false),
        ("created_at", "greater", json!("2026-11-29T09:59:59+01:00"), true),
        ("created_at", "less", json!(1_795_942_800_000_i64), false),
        ("updated_at", "between", json!(["2026-11-01", "2026-11-29"]), false),
        ("updated_at", "between", json!(["2026-11-01", "2026-11-30"]), true),
        ("labels", "contains", json!("vip"), true),
        ("labels", "equals", json!("Moroso"), true),
        ("labels", "not_equals", json!("moroso"), false),
        ("labels", "contains", json!("vi"), false),
        ("labels", "in", json!(["new", "vip"]), true),
        ("labels", "is_empty", json!(null), false),
        ("state", "equals", json!("Open"), true),
        ("state", "in", json!(["new", "escalated"]), false),
        ("order", "is_not_empty", json!(null), true),
        ("number", "between", json!([10, 12]), true),
        ("id", "equals", json!("C-12"), true),
        ("client.plan", "equals", json!("gold"), true),
        ("client.since", "greater", json!(2018), true),
        ("vars.saldo", "greater", json!(999.5), true),
        ("vars.saldo", "equals", json!("1250.00"), true),
        ("vars.saldo", "in", json!(["x", "1250.0"]), true),
        ("vars.saldo", "starts_with", json!("12"), true),
        ("vars.ratio", "less", json!("12.51"), true),
        ("vars.debt", "between", json!([300, 301]), true),
        ("vars.debt", "equals", json!(300.75), true),
        ("vars.due", "less", json!("2026-12-02"), true),
        ("vars.due", "greater", json!(5), false),
        ("vars.paid", "equals", json!(false), true),
        ("vars.tags", "contains", json!("A"), true),
        ("vars.tags", "equals", json!(2), true),
        ("vars.empty", "is_empty", json!(null), true),
        ("vars.nothing", "is_empty", json!(null), true),
        ("vars.deep", "is_not_empty", json!(null), true),
        ("vars.deep", "equals", json!("1"), false),
        ("vars.none", "greater", json!(1), false),
        ("vars.na\"me", "equals", json!("x"), true),
    ] {
        assert_eq!(holds(column, operator, value.clone()), expected, "{column} {operator} {value}");
    }
}

#[test]
fn bm_20_all_conditions_hold_and_one_of_the_any_group() {
    let yes = || condition("gender", "equals", json!("f")).unwrap();
    let no = || condition("gender", "equals", json!("m")).unwrap();
    for (all, any, expected) in [
        (vec![], vec![], true),
        (vec![yes(), yes()], vec![], true),
        (vec![yes(), no()], vec![], false),
        (vec![], vec![no(), yes()], true),
        (vec![], vec![no(), no()], false),
        (vec![yes()], vec![no()], false),
        (vec![no()], vec![yes()], false),
    ] {
        let filter = Filter::new(all, any).unwrap();
        assert_eq!(filter.matches(&case()).unwrap(), expected, "{}", serde_json::to_string(&filter).unwrap());
    }
}

#[test]
fn bm_20_operators_and_values_are_checked_against_the_column() {
    for (column, operator, value, words) in [
        ("gender", "greater", json!("f"), "gender is a text, which has no operator greater: it has equals"),
        ("birth_date", "contains", json!("1990"), "birth_date is a date"),
        ("state", "is_empty", json!(null), "state is a state"),
        ("labels", "between", json!(["a", "b"]), "labels is a set of labels"),
        ("number", "equals", json!("seven"), "a number is wanted"),
        ("birth_date", "equals", json!(19_900_228), "a date as 1990-02-28 is wanted"),
        ("created_at", "greater", json!("2026-11-29T09:00:00"), "RFC 3339 with an offset"),
        ("created_at", "less", json!(1_795_942_800), "epoch milliseconds"),
        ("vars.saldo", "greater", json!("many"), "a number, or a date"),
        ("vars.saldo", "between", json!([1, "2026-12-01"]), "both of one kind"),
        ("vars.saldo", "between", json!([1, 2, 3]), "two values"),
        ("vars.saldo", "equals", json!({}), "a text, a number or a truth value"),
        ("gender", "equals", json!("  "), "is_empty"),
        ("gender", "equals", json!("f".repeat(201)), "200 characters"),
        ("gender", "in", json!(vec!["f"; 1001]), "1 to 1000"),
        ("gender", "equals", json!(null), "a value is required"),
    ] {
        let error = condition(column, operator, value).unwrap_err();
        assert_eq!(error.code(), "invalid_filter");
        assert!(error.to_string().contains(words), "{error}");
    }
    assert_eq!(condition("colour", "equals", json!("x")).unwrap_err().code(), "unknown_column");
    assert_eq!(condition("gender", "is", json!("x")).unwrap_err().code(), "unknown_operator");
}

#[test]
fn every_column_with_a_name_is_a_field_of_a_stored_case() {
    let mut whole = crate::domain::case::tests::case();
    (whole.order, whole.origin) = (Some(7), Some("import".to_owned()));
    whole.close(crate::domain::case::ClosedReason::Operator, Some("paid".to_owned()), whole.created_at).unwrap();
    for (_, text) in whole.client.texts_mut() {
        *text = Some("x".to_owned());
    }
    (whole.client.birth_date, whole.client.labels) =
        (chrono::NaiveDate::from_ymd_opt(1990, 2, 28), vec!["vip".to_owned()]);
    for name in NAMES.iter().filter(|name| !name.contains('<')) {
        let operator = if *name == "state" { ("equals", json!("closed")) } else { ("is_not_empty", json!(null)) };
        let filter = Filter::new(vec![condition(name, operator.0, operator.1).unwrap()], Vec::new()).unwrap();
        assert!(filter.matches(&whole.to_json()).unwrap(), "{name}");
    }
}

#[test]
fn what_is_no_case_is_an_error_and_not_a_recipient() {
    let filter = Filter::new(vec![condition("gender", "not_equals", json!("f")).unwrap()], Vec::new()).unwrap();
    for text in ["", "[]", "{\"state\":", "{} {}", "{\"client\":5}"] {
        assert!(filter.matches(text).is_err(), "{text}");
    }
    assert!(filter.matches("{}").unwrap());
}

proptest! {
    #[test]
    fn no_name_and_no_value_panics(column in "(vars\\.|client\\.)?\\PC{0,10}", text in "\\PC{0,12}", number: i64, place in 0..11_usize) {
        let operator = Operator::ALL[place].as_str();
        for value in [json!(text), json!(number), json!([text, number]), json!([number, number]), json!(null)] {
            if let Ok(condition) = condition(&column, operator, value) {
                let filter = Filter::new(vec![condition], Vec::new()).unwrap();
                prop_assert!(filter.matches(&case()).is_ok());
            }
        }
    }

    #[test]
    fn a_condition_and_its_opposite_part_the_cases(text in "\\PC{1,6}", stored in "\\PC{0,6}") {
        let case = json!({"state": "new", "vars": {"x": stored}}).to_string();
        let ask = |operator: &str| {
            let filter = Filter::new(vec![condition("vars.x", operator, json!(text)).ok()?], Vec::new()).ok()?;
            filter.matches(&case).ok()
        };
        if let (Some(equals), Some(not)) = (ask("equals"), ask("not_equals")) {
            prop_assert_ne!(equals, not);
            // What equals also begins, ends and contains.
            prop_assert!(!equals || ["starts_with", "ends_with", "contains"].iter().all(|o| ask(o) == Some(true)));
        }
    }
}
