//! The three layers of the configuration and how they are laid over each other: compiled-in file, file, environment.
//!
//! The compiled-in file is also the list of what may be said: a key it does not hold is refused here, naming the
//! nearest one and where it was read. A channel and a payment point are filled up from their `_defaults` table,
//! so that what comes out holds every key of every table. Nothing here judges a value.

use std::collections::BTreeMap;

use config::{Config, File, FileFormat, Map, Source, Value, ValueKind};

use super::ConfigError;

type Table = Map<String, Value>;

/// The compiled-in file: every key with its default.
pub(super) const COMPILED_IN: &str = include_str!("../../config/remesa.toml");

const ENVIRONMENT_PREFIX: &str = "REMESA_";

/// Tables whose keys are names, and the table that holds what each of them knows.
const NAMED: [(&str, &str); 2] = [("channels", "channel_defaults"), ("payment_points", "payment_point_defaults")];

/// The second layer: what a file says.
#[derive(Clone, Copy)]
pub(super) struct Layer<'a> {
    /// Its name, for sentences.
    pub(super) origin: &'a str,
    /// TOML.
    pub(super) text: &'a str,
}

/// Lays the layers over each other, refuses unknown keys, fills up the named tables.
pub(super) fn merge(file: Option<Layer<'_>>, environment: &BTreeMap<String, String>) -> Result<Value, ConfigError> {
    let known = read(Config::builder().add_source(File::from_str(COMPILED_IN, FileFormat::Toml)))?;
    let mut builder = Config::builder().add_source(File::from_str(COMPILED_IN, FileFormat::Toml));
    if let Some(Layer { origin, text }) = file {
        let from_file = read(Config::builder().add_source(File::from_str(text, FileFormat::Toml)))
            .map_err(|error| error.in_file(origin))?;
        refuse_unknown(&from_file, &known, origin)?;
        builder = builder.add_source(File::from_str(text, FileFormat::Toml));
    }
    let below = read(builder.clone())?;
    let mut merged = read(builder.add_source(Environment::read(environment, &below, &known)?))?;

    for (section, defaults) in NAMED {
        let Some(ValueKind::Table(defaults)) = merged.remove(defaults).map(|value| value.kind) else {
            continue;
        };
        let Some(ValueKind::Table(named)) = merged.get_mut(section).map(|value| &mut value.kind) else {
            continue;
        };
        for (name, value) in named.iter_mut() {
            let ValueKind::Table(own) = &mut value.kind else {
                return Err(ConfigError::value(format!("{section}.{name}"), value.to_string(), "is a table of keys"));
            };
            fill(own, &defaults);
        }
    }
    Ok(Value::new(None, merged))
}

/// Gives a table the keys that it does not have, and its tables theirs.
fn fill(own: &mut Table, defaults: &Table) {
    for (key, default) in defaults {
        match (own.get_mut(key).map(|value| &mut value.kind), &default.kind) {
            (Some(ValueKind::Table(own)), ValueKind::Table(defaults)) => fill(own, defaults),
            (Some(_), _) => {}
            (None, _) => {
                own.insert(key.clone(), default.clone());
            }
        }
    }
}

fn read(builder: config::ConfigBuilder<config::builder::DefaultState>) -> Result<Table, ConfigError> {
    Ok(builder.build().map_err(ConfigError::from)?.collect()?)
}

/// Refuses the first key that the compiled-in file does not hold.
fn refuse_unknown(given: &Table, known: &Table, origin: &str) -> Result<(), ConfigError> {
    for (key, value) in given {
        let at_fault = match NAMED.iter().find(|(section, _)| section == key) {
            Some((_, defaults)) => table(value).iter().find_map(|(name, own)| {
                unknown_in(&format!("{key}.{name}."), table(own), known.get(*defaults).map_or(empty(), table))
            }),
            None => match known.get(key) {
                Some(section) => unknown_in(&format!("{key}."), table(value), table(section)),
                None => Some((key.clone(), nearest(key, known))),
            },
        };
        if let Some((key, nearest)) = at_fault {
            return Err(ConfigError::UnknownKey { key, origin: origin.to_owned(), nearest });
        }
    }
    Ok(())
}

/// The first unknown key below `path`. An empty known table takes any key: headers, credentials.
fn unknown_in(path: &str, given: &Table, known: &Table) -> Option<(String, Option<String>)> {
    if known.is_empty() {
        return None;
    }
    given.iter().find_map(|(key, value)| match known.get(key) {
        Some(section) if matches!(section.kind, ValueKind::Table(_)) => {
            unknown_in(&format!("{path}{key}."), table(value), table(section))
        }
        Some(_) => None,
        None => Some((format!("{path}{key}"), nearest(key, known).map(|near| format!("{path}{near}")))),
    })
}

/// The known key that looks most like `key`, if any does.
fn nearest(key: &str, known: &Table) -> Option<String> {
    /// Below this, two keys have nothing to do with each other (1 = equal).
    const ALIKE: f64 = 0.5;
    known
        .keys()
        .map(|candidate| (strsim::normalized_damerau_levenshtein(key, candidate), candidate))
        .filter(|(likeness, _)| *likeness >= ALIKE)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, candidate)| candidate.clone())
}

fn table(value: &Value) -> &Table {
    if let ValueKind::Table(table) = &value.kind { table } else { empty() }
}

fn empty() -> &'static Table {
    static EMPTY: std::sync::LazyLock<Table> = std::sync::LazyLock::new(Table::new);
    &EMPTY
}

/// The variables that begin with `REMESA_`, as a tree.
#[derive(Debug, Clone)]
struct Environment(Table);

impl Environment {
    /// `below` holds the names that files define, `known` the keys that may be said.
    fn read(environment: &BTreeMap<String, String>, below: &Table, known: &Table) -> Result<Self, ConfigError> {
        let mut root = Table::new();
        for (variable, text) in environment {
            let Some(path) = variable.strip_prefix(ENVIRONMENT_PREFIX) else {
                continue;
            };
            if text.is_empty() || variable == super::PATH_VARIABLE {
                continue;
            }
            let mut keys: Vec<String> = path.split("__").map(str::to_ascii_lowercase).collect();
            if let [section, name, ..] = keys.as_mut_slice()
                && NAMED.iter().any(|(named, _)| named == section)
                && let Some(defined) = below.get(section).and_then(|named| spelled(name, table(named)))
            {
                *name = defined;
            }
            let leaf = Value::new(None, text.as_str());
            let tree = keys.iter().rev().fold(leaf, |value, key| {
                let mut level = Table::new();
                level.insert(key.clone(), value);
                Value::new(None, level)
            });
            refuse_unknown(table(&tree), known, &format!("the environment variable {variable}"))?;
            lay_over(&mut root, table(&tree));
        }
        Ok(Self(root))
    }
}

/// The defined name that `name` stands for, when `_` is read as `-` or `.` and capitals do not count.
fn spelled(name: &str, named: &Table) -> Option<String> {
    named.keys().find(|defined| defined.to_ascii_lowercase().replace(['-', '.'], "_") == name).cloned()
}

fn lay_over(below: &mut Table, above: &Table) {
    for (key, value) in above {
        match (below.get_mut(key).map(|value| &mut value.kind), &value.kind) {
            (Some(ValueKind::Table(under)), ValueKind::Table(over)) => lay_over(under, over),
            _ => {
                below.insert(key.clone(), value.clone());
            }
        }
    }
}

impl Source for Environment {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Table, config::ConfigError> {
        Ok(self.0.clone())
    }
}
