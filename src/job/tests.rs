//! What decoding promises: readable sentences, typed values, no panic on anything.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::domain::clock::EpochMs;
use crate::domain::expiry::Expiry;
use crate::domain::message::UrlPlace;
use crate::domain::order::OrderEvent;

fn generate(job: &Value) -> Result<(Envelope, GenerateJob), Rejection> {
    decode(QueueName::Generate, job.to_string().as_bytes()).map(|(envelope, job)| {
        let Job::Generate(job) = job else { panic!("not a generate job") };
        (envelope, *job)
    })
}

fn control(job: &Value) -> Result<ControlJob, Rejection> {
    decode(QueueName::Control, job.to_string().as_bytes()).map(|(_, job)| {
        let Job::Control(job) = job else { panic!("not a control job") };
        job
    })
}

/// A small valid job with these fields set or, where null, removed.
fn with(fields: &Value) -> Value {
    let mut job = json!({"campaign":"nov","currency":"EUR","rows":[{"amount":1250}]});
    for (name, value) in fields.as_object().unwrap() {
        job[name] = value.clone();
    }
    job
}

fn sentence(job: &Value) -> String {
    let rejection = generate(job).unwrap_err();
    format!("{}: {}", rejection.code, rejection.sentence)
}

#[test]
fn a_refusal_names_field_value_and_rule() {
    let cases = [
        (json!({"chanel":"x"}), r#"unknown_field: "chanel" is not a field of this queue: did you mean "channel"?"#),
        (
            json!({"CAMPAIGN":"x"}),
            r#"unknown_field: "CAMPAIGN" is not a field of this queue: did you mean "campaign"?"#,
        ),
        (json!({"campaign":7}), "wrong_type: campaign: 7 is not a text"),
        (json!({"campaign":null}), "missing_field: campaign: the field is required"),
        (json!({"append":"yes"}), r#"wrong_type: append: "yes" is not true or false"#),
        (json!({"rows":[{},3]}), "wrong_type: rows[1]: 3 is not an object"),
        (json!({"v":2}), "unsupported_version: v: version 2 of the contract is not read here, only 1"),
        (json!({"expires_in":"9m"}), "expiry_too_short: expires_in: expiry of 9m is shorter than 10m"),
        (json!({"expires_in":"16d"}), "expiry_too_long: expires_in: expiry of 16d is longer than 15d"),
        (json!({"delivery":"now"}), "missing_field: channel: the field is required unless delivery is \"none\""),
        (
            json!({"message":{"text":"x","url":"ende"}}),
            r#"invalid_value: message.url: "ende" is not known: did you mean "end"?"#,
        ),
        (json!({"message":{"txt":"x"}}), r#"unknown_field: "txt" is not a field of message: did you mean "text"?"#),
        (json!({"after":["a",5]}), "wrong_type: after[1]: 5 is not a text"),
        (json!({"at":true}), "wrong_type: at: true is not a time: RFC 3339 with an offset, or epoch milliseconds"),
        (json!({"delivery":{"att":1}}), r#"unknown_field: "att" is not a field of delivery: did you mean "at"?"#),
    ];
    for (fields, expected) in cases {
        assert_eq!(sentence(&with(&fields)), expected);
    }
    let unlike = sentence(&with(&json!({"zzzzzzzz":1})));
    assert!(unlike.contains("known are id, at, not_after, after, v, campaign"), "{unlike}");
}

#[test]
fn a_refusal_shows_no_row_and_only_the_head_of_a_value() {
    let long = "x".repeat(100_000);
    for job in [with(&json!({"campaign": long})), with(&json!({long.clone(): 1})), with(&json!({"rows":[[&long]]}))] {
        assert!(sentence(&job).len() < 600);
    }
}

#[test]
fn a_generate_job_becomes_its_domain_types() {
    let job = json!({
        "id":"gen-nov","campaign":"nov","name":"November","country":"es","currency":"eur","payment_point":"pp-2",
        "expires_in":"2h","category":"transactional","delivery":"now","channel":"sms-main",
        "message":{"text":"Hola {{ name }}:","url":"start"},"rows_from":{"file":"a.txt","format":"csv"},
        "append":true,"allow_partial":true,
    });
    let (envelope, job) = generate(&job).unwrap();
    assert_eq!(envelope.id.unwrap().as_str(), "gen-nov");
    assert_eq!(
        (job.campaign.as_str(), job.currency.unwrap().code(), job.country.unwrap().code()),
        ("nov", "EUR", "ES")
    );
    assert_eq!(job.expiry, Some(Expiry::In(std::time::Duration::from_hours(2))));
    let dispatch = job.delivery.dispatch().unwrap();
    assert_eq!((dispatch.channel.as_str(), dispatch.message.place()), ("sms-main", UrlPlace::Start));
    assert_eq!(job.rows, RowsSpec::File { path: "a.txt".to_owned(), format: Some(FileFormat::Csv) });
    assert!(job.append && job.allow_partial);
}

#[test]
fn a_job_that_says_nothing_of_delivery_sends_nothing() {
    let (envelope, job) = generate(&with(&json!({}))).unwrap();
    assert!(matches!(job.delivery, Delivery::None));
    assert_eq!((envelope.id, envelope.digest, job.expiry), (None, None, None));
    let unused = with(&json!({"delivery":"none","channel":"sms-main","message":{"text":"a {{ url }} b"}}));
    assert_eq!(generate(&unused).unwrap_err().code, RejectionCode::UrlInMiddle);
}

#[test]
fn times_that_exclude_each_other_are_refused() {
    let send = |delivery: Value| json!({"delivery":delivery,"channel":"c","message":{"text":"x"}});
    let at = "2030-01-01T10:00:00+01:00";
    let mut job = with(&send(json!({"at":at})));
    let (_, decoded) = generate(&job).unwrap();
    assert!(matches!(decoded.delivery, Delivery::At(EpochMs(1_893_488_400_000), _)));
    job["at"] = json!(1_893_488_400_000_i64);
    assert_eq!(generate(&job).unwrap_err().code, RejectionCode::ConflictingTimes);
    let late = with(&json!({"at":at,"not_after":"2030-01-01T08:59:59Z"}));
    assert_eq!(generate(&late).unwrap_err().code, RejectionCode::ConflictingTimes);
    assert!(generate(&with(&json!({"at":at,"not_after":"2030-01-01T09:00:00Z"}))).is_ok());
}

#[test]
fn po_7_the_bounds_of_an_expiry_are_inclusive() {
    for (expires_in, ok) in [("10m", true), ("599s", false), ("15d", true), ("360h 1s", false)] {
        assert_eq!(generate(&with(&json!({"expires_in":expires_in}))).is_ok(), ok, "{expires_in}");
    }
}

#[test]
fn a_job_waits_for_others_but_not_for_itself() {
    let job = with(&json!({"id":"b","after":["a","generate:1763719200000-0"]}));
    assert_eq!(generate(&job).unwrap().0.after.len(), 2);
    assert_eq!(generate(&with(&json!({"id":"b","after":["b"]}))).unwrap_err().code, RejectionCode::InvalidValue);
    assert_eq!(generate(&with(&json!({"after":vec!["a"; 101]}))).unwrap_err().code, RejectionCode::InvalidValue);
}

#[test]
fn the_digest_tells_another_payload_from_another_spelling() {
    let digest = |text: &str| decode(QueueName::Generate, text.as_bytes()).unwrap().0.digest.unwrap();
    let one = digest(r#"{"id":"a","campaign":"c","rows":[{"amount":1,"n":"x"}]}"#);
    assert_eq!(one, digest(r#" {"rows" : [{"n":"\u0078","amount":1}], "campaign":"c", "id":"a"} "#));
    assert_ne!(one, digest(r#"{"id":"a","campaign":"c","rows":[{"amount":2,"n":"x"}]}"#));
}

#[test]
fn the_id_and_campaign_of_a_refused_job_can_be_told() {
    let raw = RawJob::parse(br#"{"id":"a","campaign":"c","zzz":1}"#).unwrap();
    assert_eq!((raw.id().unwrap().as_str(), raw.campaign().unwrap().as_str()), ("a", "c"));
    assert!(RawJob::parse(br#"{"id":"generate:1-0"}"#).unwrap().id().is_none());
}

#[test]
fn a_command_takes_only_the_fields_it_uses() {
    let cases = [
        (json!({"action":"pause","campaign":"c","states":"all"}), "conflicting_fields"),
        (json!({"action":"pause","campaign":"c","channel":"x"}), "conflicting_fields"),
        (json!({"action":"pause","run":"r"}), "missing_field"),
        (json!({"action":"pause"}), "missing_field"),
        (json!({"campaign":"c"}), "missing_field"),
        (json!({"action":"cancel","channel":"x"}), "conflicting_fields"),
        (json!({"action":"cancel","campaign":"c","run":"r","cancel_orders":true}), "conflicting_fields"),
        (json!({"action":"retry","campaign":"c","run":"r"}), "missing_field"),
        (json!({"action":"retry","campaign":"c","run":"r","states":"sent"}), "invalid_value"),
        (json!({"action":"retry","campaign":"c","run":"r@x","states":"all"}), "invalid_name"),
        (json!({"action":"order_event","campaign":"c","order":1,"key":"k","event":"paid"}), "conflicting_fields"),
        (json!({"action":"order_event","campaign":"c","short_code":"abcdef","event":"paid"}), "conflicting_fields"),
        (json!({"action":"order_event","campaign":"c","event":"paid"}), "missing_field"),
        (json!({"action":"order_event","order":1,"event":"paid"}), "missing_field"),
        (json!({"action":"order_event","campaign":"c","order":0,"event":"paid"}), "invalid_value"),
        (json!({"action":"order_event","campaign":"c","order":1.5,"event":"paid"}), "wrong_type"),
        (json!({"action":"order_event","campaign":"c","order":1,"event":"expired"}), "invalid_value"),
        (json!({"action":"order_event","campaign":"c","order":1,"event":"partially_refunded"}), "missing_field"),
        (json!({"action":"order_event","campaign":"c","order":1,"event":"refunded","amount":-1}), "wrong_type"),
        (json!({"action":"reroute","campaign":"c","order":1}), "missing_field"),
        (json!({"action":"reroute","payment_point":"pp-2"}), "missing_field"),
        (json!({"action":"resolve_orders"}), "missing_field"),
        (json!({"action":"order_event","campaign":"c","order":1,"event":"cancelled","amount":5}), "conflicting_fields"),
        (json!({"action":"opt_out","contact":"x"}), "invalid_value"),
        (json!({"action":"paus","campaign":"c"}), "unknown_action"),
        (json!({"action":5}), "wrong_type"),
        (json!({"action":"pause","campain":"c"}), "unknown_field"),
    ];
    for (job, code) in cases {
        assert_eq!(control(&job).map_err(|rejection| rejection.code.as_str()), Err(code), "{job}");
    }
}

#[test]
fn a_command_becomes_its_domain_types() {
    let name = |text| Name::parse(text).unwrap();
    let cancel = control(&json!({"action":"cancel","campaign":"c","cancel_orders":true})).unwrap();
    assert_eq!(cancel, ControlJob::Cancel { target: Target::Campaign(name("c")), cancel_orders: true });
    let pause = control(&json!({"action":"pause","channel":"sms"})).unwrap();
    assert_eq!(pause.campaign(), None);
    assert_eq!(pause, ControlJob::Pause(Target::Channel(name("sms"))));
    let paid = json!({"action":"order_event","campaign":"c","key":"k 1","event":"paid","amount":5,"occurred_at":1_763_719_200_000_i64});
    let expected = ControlJob::OrderEvent {
        order: OrderRef::Key { campaign: name("c"), key: "k 1".to_owned() },
        event: OrderEvent::Paid,
        amount_minor: Some(5),
        occurred_at: Some(EpochMs(1_763_719_200_000)),
    };
    assert_eq!(control(&paid).unwrap(), expected);
    let retry = control(&json!({"action":"retry","campaign":"c","run":"delivery@1","states":"all"})).unwrap();
    assert_eq!(retry.run().unwrap().as_str(), "delivery@1");
}

#[test]
fn the_fields_that_decoding_knows_are_those_of_the_schema() {
    let names = |schema: &Value, path: &str| -> Vec<String> {
        let mut names: Vec<_> =
            schema.pointer(path).unwrap()["properties"].as_object().unwrap().keys().cloned().collect();
        names.sort();
        names
    };
    let sorted = |known: &[&[&str]]| -> Vec<String> {
        let mut names: Vec<_> = known.concat().into_iter().map(str::to_owned).collect();
        names.sort();
        names
    };
    let of_generate = schema(QueueName::Generate);
    let envelope: &[&str] = &envelope::ENVELOPE_FIELDS;
    assert_eq!(names(&of_generate, ""), sorted(&[envelope, generate::GENERATE_FIELDS]));
    assert_eq!(names(&of_generate, "/$defs/MessageText"), sorted(&[&generate::MESSAGE_FIELDS]));
    assert_eq!(names(&of_generate, "/$defs/Scheduled"), sorted(&[&generate::DELIVERY_FIELDS]));
    assert_eq!(names(&of_generate, "/$defs/RowsFrom"), sorted(&[&rows_spec::ROWS_FROM_FIELDS]));
    let of_import = schema(QueueName::Import);
    assert_eq!(names(&of_import, ""), sorted(&[envelope, import::IMPORT_FIELDS]));
    assert_eq!(names(&of_import, "/$defs/Template"), sorted(&[&import::TEMPLATE_FIELDS]));
    let of_send = schema(QueueName::Send);
    assert_eq!(names(&of_send, ""), sorted(&[envelope, send::BULK_FIELDS, send::SEND_FIELDS]));
    assert_eq!(names(&of_send, "/$defs/At"), sorted(&[&send::FREQUENCY_FIELDS]));
    assert_eq!(names(&of_send, "/$defs/ProviderTemplate"), sorted(&[&content::PROVIDER_TEMPLATE_FIELDS]));
    assert_eq!(names(&schema(QueueName::Control), ""), sorted(&[envelope, control::CONTROL_FIELDS]));
    let of_recurring = schema(QueueName::Recurring);
    assert_eq!(
        names(&of_recurring, ""),
        sorted(&[envelope, &["recurring"], recurring::TIMES_FIELDS, send::BULK_FIELDS])
    );
    assert_eq!(names(&of_send, "/$defs/Times"), sorted(&[recurring::TIMES_FIELDS]));
}

#[test]
fn the_codes_of_the_domain_are_codes_of_a_rejection() {
    for code in [
        "invalid_name",
        "invalid_id",
        "id_reserved",
        "invalid_time",
        "invalid_duration",
        "unknown_currency",
        "unknown_country",
        "expiry_too_short",
        "expiry_too_long",
        "template_syntax",
        "url_in_middle",
        "url_twice",
        "url_conflict",
        "text_too_long",
        "invalid_short_code",
        "wrong_state",
    ] {
        assert!(RejectionCode::parse(code).is_some(), "{code}");
    }
}

/// JSON values that look like jobs: known and unknown fields with values of every kind.
fn jobs() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "\\PC{0,12}".prop_map(Value::from),
        prop_oneof![Just("pause"), Just("now"), Just("2030-01-01T00:00:00Z"), Just("48h"), Just("EUR"), Just("c-1")]
            .prop_map(Value::from),
    ];
    let all: Vec<&'static str> = [
        &envelope::ENVELOPE_FIELDS[..],
        generate::GENERATE_FIELDS,
        send::BULK_FIELDS,
        send::SEND_FIELDS,
        control::CONTROL_FIELDS,
    ]
    .concat()
    .into_iter()
    .chain(["text", "url", "file", "format", "list"])
    .collect();
    let name = proptest::sample::select(all).prop_map(str::to_owned);
    leaf.prop_recursive(3, 32, 6, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map(name.clone(), inner, 0..6)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn no_bytes_make_decoding_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        for queue in QueueName::ALL {
            prop_assert!(decode(queue, &bytes).is_err());
        }
    }

    #[test]
    fn no_object_makes_decoding_panic_and_every_refusal_has_a_sentence(job in jobs()) {
        for queue in QueueName::ALL {
            if let Err(rejection) = decode(queue, job.to_string().as_bytes()) {
                prop_assert!(!rejection.sentence.is_empty() && rejection.sentence.len() < 1000);
            }
        }
    }
}
