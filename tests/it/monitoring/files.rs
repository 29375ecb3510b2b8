//! `config/monitoring`: the alerts do what they say, by Debian's `promtool`, and nothing names a metric that is not there.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use remesa::metrics::DECLARED;
use serde_json::Value;

const RULES: &str = "config/monitoring/remesa.rules.yml";
const DASHBOARD: &str = "config/monitoring/remesa.dashboard.json";
const TABLE: &str = "config/monitoring/README.md";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap()
}

/// Debian's `promtool`, where `scripts/setup promtool` has put it.
fn promtool(arguments: &[&str]) {
    let here = root().join("target/promtool/usr/bin/promtool");
    let program = if here.exists() { here } else { PathBuf::from("promtool") };
    let said = Command::new(program).args(arguments).current_dir(root()).output();
    let said = said.expect("promtool is there: scripts/setup promtool");
    let (out, err) = (String::from_utf8_lossy(&said.stdout), String::from_utf8_lossy(&said.stderr));
    assert!(said.status.success(), "promtool {arguments:?}:\n{out}{err}");
}

/// The names of our metrics in a text, as they are declared: without what the text format adds.
fn named(text: &str) -> BTreeSet<String> {
    let declared: BTreeSet<&str> = DECLARED.iter().map(|(name, _)| *name).collect();
    let words =
        text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).filter(|word| word.starts_with("remesa_"));
    words
        .map(|word| {
            let bare = ["_total", "_bucket", "_count", "_sum", "_info"].iter().find_map(|end| word.strip_suffix(end));
            bare.filter(|bare| declared.contains(bare)).unwrap_or(word).to_owned()
        })
        .collect()
}

fn expressions(value: &Value, found: &mut Vec<String>) {
    if let Some(expr) = value.get("expr").and_then(Value::as_str) {
        found.push(expr.to_owned());
    }
    let fields = value.as_object().into_iter().flat_map(|fields| fields.values());
    for each in fields.chain(value.as_array().into_iter().flatten()) {
        expressions(each, found);
    }
}

#[test]
fn the_alerts_are_valid_and_fire_when_they_should_and_not_when_they_should_not() {
    promtool(&["check", "rules", RULES]);
    promtool(&["test", "rules", "tests/it/monitoring/rules.yml"]);
}

#[test]
fn the_dashboard_asks_what_prometheus_understands() {
    let dashboard: Value = serde_json::from_str(&read(DASHBOARD)).unwrap();
    let ids: Vec<u64> = dashboard["panels"].as_array().unwrap().iter().map(|p| p["id"].as_u64().unwrap()).collect();
    assert_eq!(ids.len(), ids.iter().collect::<BTreeSet<_>>().len(), "panels have ids of their own");
    let mut found = Vec::new();
    expressions(&dashboard, &mut found);
    assert!(found.len() > 30, "{}", found.len());
    let rules: Vec<Value> = found
        .iter()
        .enumerate()
        .map(|(n, expr)| {
            let expr = expr.replace("$__rate_interval", "1m").replace("$channel", ".*");
            serde_json::json!({"record": format!("panel:{n}"), "expr": expr})
        })
        .collect();
    // JSON is YAML.
    let file = tempfile::Builder::new().suffix(".yml").tempfile().unwrap();
    let groups = serde_json::json!({"groups": [{"name": "dashboard", "rules": rules}]});
    std::fs::write(file.path(), groups.to_string()).unwrap();
    promtool(&["check", "rules", file.path().to_str().unwrap()]);
}

#[test]
fn alerts_dashboard_and_table_name_the_metrics_that_there_are() {
    let declared: BTreeSet<String> = DECLARED.iter().map(|(name, _)| (*name).to_owned()).collect();
    for path in [RULES, DASHBOARD, "tests/it/monitoring/rules.yml"] {
        let unknown: Vec<_> = named(&read(path)).difference(&declared).cloned().collect();
        assert!(unknown.is_empty(), "{path} names {unknown:?}");
    }
    assert_eq!(named(&read(TABLE)), declared, "{TABLE} has the table of all metrics");
    for (name, says) in DECLARED {
        assert!(read(TABLE).contains(says), "{TABLE} says of {name}: {says}");
    }
}
