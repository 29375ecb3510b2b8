//! The published contract: what `jobs/` says is what the program does.
//!
//! Schemas and tables are fresh, every example decodes and is valid in its schema, every refused example is refused
//! with its code. Examples marked `daemon` need configuration, files or an earlier job; here they are only shown to be
//! well-formed jobs, and those about files are tried on the readers.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use remesa::handler::generate::gates::{Look, survey};
use remesa::job::{Job, QueueName, RejectionCode, RowCode, RowRules, RowsSpec, decode, event, published_files, schema};
use remesa::source::{RowFault, SourceError, SourceLimits, SourceSpec};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

/// Codes that no job and file bring about: they need a server, a file that the system refuses to read, or that changes under
/// the reader's hands, or a payment platform that refuses.
const WITHOUT_EXAMPLE: [RejectionCode; 4] = [
    RejectionCode::SourceUnreadable,
    RejectionCode::SourceChanged,
    RejectionCode::UrlRefused,
    RejectionCode::ProviderRefused,
];

fn jobs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("jobs")
}

/// Name without extension, and text, of every JSON file in a folder.
fn texts(folder: &str) -> Vec<(String, String)> {
    let entries = fs::read_dir(jobs().join(folder)).unwrap().map(|entry| entry.unwrap().path());
    let mut texts: Vec<_> = entries
        .map(|path| (path.file_stem().unwrap().to_str().unwrap().to_owned(), fs::read_to_string(&path).unwrap()))
        .collect();
    texts.sort();
    texts
}

fn queue(name: &str) -> QueueName {
    QueueName::parse(name).unwrap_or_else(|| panic!("{name} is no queue"))
}

fn validator(queue: QueueName) -> jsonschema::Validator {
    jsonschema::validator_for(&schema(queue)).unwrap()
}

/// The bytes of a refused example.
fn bytes(example: &Value) -> Vec<u8> {
    let mut bytes = match example.get("raw") {
        Some(raw) => raw.as_str().unwrap().as_bytes().to_vec(),
        None => example["job"].to_string().into_bytes(),
    };
    if let Some(length) = example.get("pad_to_bytes") {
        bytes.resize(usize::try_from(length.as_u64().unwrap()).unwrap(), b' ');
    }
    bytes
}

#[test]
fn what_is_committed_in_jobs_is_what_the_types_say() {
    let readme = fs::read_to_string(jobs().join("README.md")).unwrap();
    for file in published_files(&readme) {
        let committed = fs::read_to_string(jobs().join(&file.path)).unwrap_or_default();
        assert_eq!(committed, file.content, "jobs/{} is stale: run `make schemas`", file.path);
    }
    for table in ["rejection", "row", "dead", "warning"] {
        assert!(readme.contains(&format!("<!-- codes:{table} -->")), "the table of {table} codes is gone");
    }
}

#[test]
fn every_example_decodes_and_is_valid_in_its_schema() {
    let mut queues = BTreeSet::new();
    for (name, text) in texts("examples") {
        let queue = queue(name.split('-').next().unwrap());
        queues.insert(queue);
        if let Err(rejection) = decode(queue, text.as_bytes()) {
            panic!("examples/{name}.json: {rejection}");
        }
        let value: Value = serde_json::from_str(&text).unwrap();
        if let Err(error) = validator(queue).validate(&value) {
            panic!("examples/{name}.json: {error} at {}", error.instance_path());
        }
    }
    assert_eq!(queues, QueueName::ALL.into_iter().collect());
}

#[test]
fn every_refused_example_is_refused_with_its_code() {
    for (name, text) in texts("rejected") {
        let example: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(example["code"], name, "rejected/{name}.json");
        let decoded = decode(queue(example["queue"].as_str().unwrap()), &bytes(&example));
        match (example["stage"].as_str().unwrap(), decoded) {
            ("decode", Err(rejection)) => assert_eq!(rejection.code.as_str(), name, "{rejection}"),
            ("daemon", Ok(_)) => {}
            (stage, decoded) => panic!("rejected/{name}.json of stage {stage}: {decoded:?}"),
        }
    }
}

#[test]
fn every_code_of_a_rejection_has_its_example() {
    let shown: BTreeSet<_> = texts("rejected").into_iter().map(|(name, _)| name).collect();
    let expected: BTreeSet<_> =
        RejectionCode::ALL.iter().filter(|code| !WITHOUT_EXAMPLE.contains(code)).map(ToString::to_string).collect();
    assert_eq!(shown, expected);
}

#[test]
fn the_schema_refuses_what_is_unknown_missing_or_of_another_type() {
    for name in ["unknown_field", "missing_field", "wrong_type", "invalid_value", "invalid_name", "too_many_rows"] {
        let text = fs::read_to_string(jobs().join(format!("rejected/{name}.json"))).unwrap();
        let example: Value = serde_json::from_str(&text).unwrap();
        let validator = validator(queue(example["queue"].as_str().unwrap()));
        assert!(!validator.is_valid(&example["job"]), "{name}");
    }
}

#[test]
fn the_examples_of_before_are_jobs_too() {
    for (name, text) in texts("rejected") {
        let example: Value = serde_json::from_str(&text).unwrap();
        for before in example.get("before").and_then(Value::as_array).into_iter().flatten() {
            let decoded = decode(queue(before["queue"].as_str().unwrap()), before["job"].to_string().as_bytes());
            assert!(decoded.is_ok(), "rejected/{name}.json: {decoded:?}");
        }
    }
}

#[test]
fn the_refused_files_are_refused_by_the_readers() {
    let mut tried = BTreeSet::new();
    for (name, text) in texts("rejected") {
        let example: Value = serde_json::from_str(&text).unwrap();
        let Ok((_, Job::Generate(job))) = decode(QueueName::Generate, &bytes(&example)) else { continue };
        let RowsSpec::File { path, .. } = job.rows else { continue };
        if example.get("config").is_some() {
            continue;
        }
        let dir = tempfile::tempdir().unwrap();
        for (file, content) in example.get("spool").and_then(Value::as_object).into_iter().flatten() {
            spool_file(&dir.path().join(file), content);
        }
        let limits = SourceLimits {
            table: &remesa::domain::column::ORDERS,
            spool_dir: dir.path().to_owned(),
            max_rows: 1000,
            max_line_bytes: 65536,
            max_bytes: 2 << 30,
            stop: CancellationToken::new(),
        };
        let rules = RowRules { country: None, currency: None, currencies: Vec::new(), max_amount_minor: 1000 };
        let source = SourceSpec::File { path, format: None };
        let refused = survey(&source, &limits, &rules, &Look::Rows, |_| ()).unwrap_err();
        assert_eq!(refused.code(), name, "{refused}");
        tried.insert(name);
    }
    assert_eq!(tried.len(), 8, "{tried:?}");
}

/// Writes a file of an example: `text`, `hex`, or a hole of `sparse_bytes`.
fn spool_file(path: &Path, content: &Value) {
    if let Some(text) = content.get("text") {
        fs::write(path, text.as_str().unwrap()).unwrap();
    } else if let Some(hex) = content.get("hex") {
        let hex = hex.as_str().unwrap();
        let byte = |at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
        fs::write(path, (0..hex.len()).step_by(2).map(byte).collect::<Vec<_>>()).unwrap();
    } else {
        fs::File::create(path).unwrap().set_len(content["sparse_bytes"].as_u64().unwrap()).unwrap();
    }
}

#[test]
fn the_codes_of_the_readers_are_codes_of_the_contract() {
    for code in SourceError::CODES {
        assert!(RejectionCode::parse(code).is_some(), "{code}");
    }
    for fault in RowFault::ALL {
        assert!(RowCode::parse(fault.as_str()).is_some(), "{fault:?}");
    }
}

#[test]
fn null_means_absent_in_the_schema_and_in_decoding() {
    let job = json!({"campaign":"c","currency":null,"delivery":null,"rows":[{"amount":1}],"rows_from":null});
    assert!(decode(QueueName::Generate, job.to_string().as_bytes()).is_ok());
    assert!(validator(QueueName::Generate).is_valid(&job));
}

#[test]
fn every_example_of_an_event_is_valid_in_the_schema_of_the_results_stream_and_each_kind_has_one() {
    let validator = jsonschema::validator_for(&event::event_schema()).unwrap();
    let mut kinds = BTreeSet::new();
    for (name, text) in texts("results/examples") {
        let value: Value = serde_json::from_str(&text).unwrap();
        if let Err(error) = validator.validate(&value) {
            panic!("results/examples/{name}.json: {error} at {}", error.instance_path());
        }
        let kind = value["type"].as_str().unwrap().to_owned();
        assert!(name.starts_with(&kind), "{name}");
        kinds.insert(kind);
    }
    assert_eq!(kinds, event::EVENT_KINDS.map(str::to_owned).into());
    let readme = fs::read_to_string(jobs().join("README.md")).unwrap();
    for kind in event::EVENT_KINDS {
        assert!(readme.contains(&format!("| `{kind}` |")), "the kind {kind} does not stand in the table of events");
    }
    let wrong = json!({"event": "c/orders/1-2", "type": "orders", "campaign": "c", "job": "j", "first": 0, "last": 2, "state": "available", "at": 1});
    assert!(!validator.is_valid(&wrong));
}
