//! The fields that every job has, in whatever queue: who it is, when it may run, what it waits for.
//!
//! [`RawJob`] is the first of the two steps of decoding: JSON without doubled fields, an object, of bearable size. The
//! [`Envelope`] is taken out of it, and what is left belongs to the queue.

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::codes::RejectionCode;
use super::fields::{Fields, wrong_type};
use super::rejection::Rejection;
use super::strict::{self, StrictError};
use crate::domain::clock::EpochMs;
use crate::domain::name::{JobId, Name, NameError};

/// The largest job of the contract; a configuration may allow less.
pub const JOB_MAX_BYTES: usize = 1024 * 1024;
/// The version of the contract that this daemon reads.
pub const CONTRACT_VERSION: u64 = 1;
/// Jobs that one job may wait for.
pub const AFTER_MAX: usize = 100;
/// The envelope's fields.
pub(super) const ENVELOPE_FIELDS: [&str; 5] = ["id", "at", "not_after", "after", "v"];

/// The JSON object of a job, nothing of it judged.
#[derive(Debug, Clone)]
pub struct RawJob(Map<String, Value>);

/// What a job says about itself in every queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// The producer's idempotency key.
    pub id: Option<JobId>,
    /// Not before this time.
    pub at: Option<EpochMs>,
    /// Too late after this time.
    pub not_after: Option<EpochMs>,
    /// Jobs that must be done first.
    pub after: Vec<JobId>,
    /// SHA-256 in hex of the whole job as canonical JSON, where there is an `id`: tells a repetition from a conflict.
    pub digest: Option<String>,
}

impl RawJob {
    /// Reads the text of a job.
    pub fn parse(bytes: &[u8]) -> Result<Self, Rejection> {
        if bytes.len() > JOB_MAX_BYTES {
            return Err(Rejection::too_big(bytes.len(), JOB_MAX_BYTES));
        }
        if bytes.trim_ascii().is_empty() {
            return Err(Rejection::new(RejectionCode::NoJob, "the entry has no field \"job\", or an empty one"));
        }
        match strict::parse(bytes) {
            Ok(Value::Object(object)) => Ok(Self(object)),
            Ok(other) => Err(Rejection::new(
                RejectionCode::NotAnObject,
                format!("the job is {}, not a JSON object", kind(&other)),
            )),
            Err(StrictError::NotJson(reason)) => {
                Err(Rejection::new(RejectionCode::NotJson, format!("the job is not JSON: {reason}")))
            }
            Err(StrictError::Twice(name)) => Err(Rejection::of_field(
                RejectionCode::DuplicateField,
                name.chars().take(64).collect::<String>(),
                "the field stands twice in one object",
            )),
        }
    }

    /// The object of a job that stands in another.
    pub(super) const fn of_object(object: Map<String, Value>) -> Self {
        Self(object)
    }

    /// The object.
    pub(super) fn into_object(self) -> Map<String, Value> {
        self.0
    }

    /// The id a producer gave, if it is one; also of a job that will be refused, so that its status can say so.
    pub fn id(&self) -> Option<JobId> {
        JobId::parse(self.0.get("id")?.as_str()?).ok()
    }

    /// The campaign the job names, if it is a name; for the status of a job that will be refused.
    pub fn campaign(&self) -> Option<Name> {
        Name::parse(self.0.get("campaign")?.as_str()?).ok()
    }

    /// One field as it stands.
    pub(super) fn field(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    /// Takes the envelope out; the fields left belong to the queue, which knows `known`.
    pub(super) fn open(self, known: &[&str]) -> Result<(Envelope, Fields), Rejection> {
        let digest = self.0.contains_key("id").then(|| self.digest());
        let all: Vec<&str> = ENVELOPE_FIELDS.iter().chain(known).copied().collect();
        let mut fields = Fields::of_job(self.0, &all)?;
        version(&mut fields)?;
        let id = fields.parsed("id", JobId::parse, NameError::code)?;
        let at = fields.instant("at")?;
        let not_after = fields.instant("not_after")?;
        if let (Some(at), Some(not_after)) = (at, not_after)
            && at > not_after
        {
            let rule = format!("the job may not run before {at}, and is too late after {not_after}");
            return Err(fields.refuse(RejectionCode::ConflictingTimes, "not_after", rule));
        }
        let after = dependencies(&mut fields, id.as_ref())?;
        let digest = digest.filter(|_| id.is_some());
        Ok((Envelope { id, at, not_after, after, digest }, fields))
    }

    /// SHA-256 in hex of the canonical JSON: names sorted, no blanks.
    fn digest(&self) -> String {
        let mut value = Value::Object(self.0.clone());
        value.sort_all_objects();
        let hash = Sha256::digest(value.to_string().as_bytes());
        hash.iter().fold(String::with_capacity(64), |mut hex, byte| {
            for nibble in [byte >> 4, byte & 15] {
                hex.push(char::from_digit(u32::from(nibble), 16).unwrap_or('0'));
            }
            hex
        })
    }
}

fn version(fields: &mut Fields) -> Result<(), Rejection> {
    let Some(version) = fields.take("v") else { return Ok(()) };
    if version.as_u64() == Some(CONTRACT_VERSION) {
        return Ok(());
    }
    if version.is_u64() || version.is_i64() {
        let rule = format!("version {version} of the contract is not read here, only {CONTRACT_VERSION}");
        return Err(fields.refuse(RejectionCode::UnsupportedVersion, "v", rule));
    }
    Err(wrong_type("v", &version, "a whole number"))
}

fn dependencies(fields: &mut Fields, id: Option<&JobId>) -> Result<Vec<JobId>, Rejection> {
    let listed = fields.list("after")?.unwrap_or_default();
    if listed.len() > AFTER_MAX {
        let rule = format!("{} ids, the maximum is {AFTER_MAX}", listed.len());
        return Err(fields.refuse(RejectionCode::InvalidValue, "after", rule));
    }
    let mut after = Vec::with_capacity(listed.len());
    for (index, value) in listed.iter().enumerate() {
        let field = format!("after[{index}]");
        let text = value.as_str().ok_or_else(|| wrong_type(&field, value, "a text"))?;
        let dependency =
            JobId::of_wire(text).map_err(|error| Rejection::of_code(error.code(), Some(&field), &error))?;
        if Some(&dependency) == id {
            return Err(Rejection::of_field(RejectionCode::InvalidValue, field, "a job cannot wait for itself"));
        }
        after.push(dependency);
    }
    Ok(after)
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a truth value",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}
