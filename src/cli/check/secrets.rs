//! Who may read what is secret: the configuration file where it holds a credential, and the files that it names; and the
//! tokens of the dashboard.

use std::{
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use serde_json::Value;

use crate::config::{self, Config};

use super::{Finding, bad, good, warning};

/// Keys below which a text is a secret, wherever they stand.
const SECRET: [&str; 5] = ["credentials", "token", "secret", "secrets", "password"];

/// Looks at the modes of the files that hold secrets.
pub(super) fn look(named: Option<&Path>) -> Vec<Finding> {
    let environment = config::environment().collect();
    let Some(file) = Config::file(named, &environment) else { return Vec::new() };
    // What cannot be read ended the command before.
    let Ok(text) = std::fs::read_to_string(&file) else { return Vec::new() };
    let source = ::config::File::from_str(&text, ::config::FileFormat::Toml);
    let parsed = ::config::Config::builder().add_source(source).build();
    let Some(tree) = parsed.ok().and_then(|parsed| parsed.try_deserialize::<Value>().ok()) else { return Vec::new() };
    let mut secrets = Secrets::default();
    secrets.walk(&tree, false);
    let folder = environment.get("CREDENTIALS_DIRECTORY").map(PathBuf::from);
    let mut findings = Vec::new();
    if secrets.literal {
        findings.extend(mode(&file, "the configuration, which holds a credential,"));
    } else {
        findings.extend(writable(&file));
    }
    for path in &secrets.files {
        let path = if path.is_absolute() { path.clone() } else { folder.clone().unwrap_or_default().join(path) };
        findings.extend(mode(&path, "the credential"));
    }
    if findings.is_empty() {
        findings.push(good("credentials", "nobody but their users may read them"));
    }
    findings
}

/// What a configuration says of its secrets.
#[derive(Debug, Default, PartialEq, Eq)]
struct Secrets {
    /// Some stand in it.
    literal: bool,
    /// Others in these files.
    files: Vec<PathBuf>,
}

impl Secrets {
    fn walk(&mut self, value: &Value, secret: bool) {
        match value {
            Value::Object(fields) => {
                for (key, value) in fields {
                    self.walk(value, secret || SECRET.contains(&key.as_str()));
                }
            }
            Value::Array(items) => items.iter().for_each(|item| self.walk(item, secret)),
            Value::String(text) if secret => self.take(text),
            // The password of an address of Redis.
            Value::String(text) if text.contains("://") && text.contains('@') => self.take(text),
            Value::String(_) | Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    fn take(&mut self, text: &str) {
        if let Some(path) = text.strip_prefix("file:") {
            self.files.push(PathBuf::from(path));
        } else if !text.is_empty() && !text.starts_with("${") {
            self.literal = true;
        }
    }
}

/// That others may read a file, or write it.
fn mode(path: &Path, what: &str) -> Option<Finding> {
    let mode = std::fs::metadata(path).ok()?.permissions().mode();
    if mode & 0o004 != 0 {
        let path = path.display();
        let found = format!("{what} {path} may be read by everybody on this machine: chmod o-rwx {path}");
        return Some(warning("credentials", found));
    }
    writable(path)
}

fn writable(path: &Path) -> Option<Finding> {
    let mode = std::fs::metadata(path).ok()?.permissions().mode();
    let path = path.display();
    let found = format!("{path} may be written by everybody on this machine: chmod o-w {path}");
    (mode & 0o002 != 0).then(|| bad("credentials", found))
}

/// The tokens of look-up, dashboard and actions.
pub(super) fn tokens(config: &Config) -> Option<Finding> {
    let listen = config.http_listen?;
    let what = "tokens";
    if !config.access.holders.is_empty() {
        let each: Vec<_> = config.access.holders.iter().map(|it| format!("{} ({})", it.name, it.role)).collect();
        return Some(good(what, each.join(", ")));
    }
    let how = "nobody can act over HTTP; define [http.tokens.<name>] for it";
    if listen.ip().is_loopback() {
        return Some(good(what, format!("none: everybody on this machine may look things up, {how}")));
    }
    Some(warning(what, format!("none, and {listen} is not loopback: nothing is shown there, and {how}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::check::Grade;

    fn secrets(json: &Value) -> Secrets {
        let mut secrets = Secrets::default();
        secrets.walk(json, false);
        secrets
    }

    #[test]
    fn a_literal_secret_is_told_from_one_in_a_file_or_in_the_environment() {
        use serde_json::json;
        let of = |credential: &str| secrets(&json!({"channels": {"sms": {"credentials": {"api_key": credential}}}}));
        assert_eq!(of("${KEY}"), Secrets::default());
        assert_eq!(of("file:sms-key"), Secrets { literal: false, files: vec!["sms-key".into()] });
        assert!(of("hush").literal);
        assert!(secrets(&json!({"redis": {"url": "redis://:hush@db:6379"}})).literal);
        assert!(!secrets(&json!({"redis": {"url": "redis://db:6379"}, "prefix": "remesa"})).literal);
        assert!(secrets(&json!({"http": {"tokens": {"ana": {"token": "x".repeat(32), "role": "read"}}}})).literal);
    }

    #[test]
    fn a_secret_that_everybody_may_read_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("key");
        std::fs::write(&file, "hush").unwrap();
        let grade = |mode: u32| {
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
            super::mode(&file, "the credential").map(|finding| finding.grade)
        };
        assert_eq!([0o600, 0o640, 0o644, 0o662].map(grade), [None, None, Some(Grade::Warning), Some(Grade::Bad)]);
    }
}
