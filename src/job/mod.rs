//! The wire contract: from the bytes of a stream entry to a job whose every field has been judged.
//!
//! Two steps, neither of them by a derived decoder: [`RawJob`] (JSON, an object, not too big, no field twice), then the
//! [`Envelope`] and the queue's own fields. A refusal is a [`Rejection`]: a stable code and a sentence that names
//! field, value and rule. Decoding is pure; it knows no configuration, no clock and no store. The end of a job's turn
//! is an [`Outcome`]. The published side (schemas, examples, one refused job per code) is the folder `jobs/`.

mod case_row;
mod codes;
mod contact_rules;
mod content;
mod control;
mod envelope;
pub mod event;
mod fields;
mod filter;
mod generate;
mod import;
mod outcome;
mod published;
mod queue_name;
mod recurring;
mod rejection;
mod row;
mod rows_spec;
mod schema;
mod send;
mod strict;
mod warning;

pub use case_row::CaseRow;
pub use codes::{DeadCode, ReasonCode, RejectionCode, RowCode, WarningCode};
pub use control::{
    CaseJob, CaseRef, ControlJob, ExportJob, OPT_OUTS_MAX, OptOutJob, OrderRef, Person, PreviewJob, ReceiptJob,
    ReplyJob, RetryStates, Target, Whom,
};
pub use envelope::{AFTER_MAX, CONTRACT_VERSION, Envelope, JOB_MAX_BYTES, RawJob};
pub use generate::{Delivery, Dispatch, GenerateJob, MESSAGE_MAX_CHARS, SHOWN_NAME_MAX_CHARS};
pub use import::{ImportJob, ImportedCases, NewTemplate, TEMPLATES_MAX};
pub use outcome::{Next, Outcome};
pub use published::{PublishedFile, published_files};
pub use queue_name::QueueName;
pub use recurring::{RecurringJob, Times};
pub use rejection::Rejection;
pub use row::{FORGOTTEN_COLUMN, OrderRow, RowRefusal, RowRules, VARIABLES_MAX_BYTES};
pub use rows_spec::{FileFormat, INLINE_ROWS_MAX, RowsSpec, URL_MAX_BYTES};
pub use schema::schema;
pub use send::{BulkMessage, Frequency, SendJob, Words};
pub use warning::{Warning, rows_have};

use crate::domain::name::Name;

/// A decoded job.
#[derive(Debug)]
pub enum Job {
    /// Import the cases of a campaign, and templates.
    Import(Box<ImportJob>),
    /// Generate the payment orders of a campaign.
    Generate(Box<GenerateJob>),
    /// Send one bulk message.
    Send(Box<SendJob>),
    /// Send one bulk message again and again.
    Recurring(Box<RecurringJob>),
    /// Command something.
    Control(ControlJob),
}

impl Job {
    /// The campaign it is about, unless it is about a channel or a short code.
    pub fn campaign(&self) -> Option<&Name> {
        match self {
            Self::Import(job) => job.campaign(),
            Self::Generate(job) => Some(&job.campaign),
            Self::Send(job) => Some(&job.bulk.campaign),
            Self::Recurring(job) => Some(&job.bulk.campaign),
            Self::Control(job) => job.campaign(),
        }
    }
}

/// Decodes the field `job` of an entry of that queue.
pub fn decode(queue: QueueName, bytes: &[u8]) -> Result<(Envelope, Job), Rejection> {
    RawJob::parse(bytes)?.decode(queue)
}

/// Whether a payload is a job that forgets somebody: it names the person, so it is kept nowhere after its end. Of one
/// that cannot be read the word is enough.
pub fn is_forget(payload: &[u8]) -> bool {
    memchr::memmem::find(payload, b"\"forget\"").is_some()
        && serde_json::from_slice::<serde_json::Value>(payload)
            .map_or(true, |job| job.get("action").is_some_and(|action| action == "forget"))
}

impl RawJob {
    /// The second step of decoding: the envelope and the queue's own fields.
    pub fn decode(self, queue: QueueName) -> Result<(Envelope, Job), Rejection> {
        match queue {
            QueueName::Import => {
                let (envelope, fields) = self.open(import::IMPORT_FIELDS)?;
                Ok((envelope, Job::Import(Box::new(ImportJob::decode(fields)?))))
            }
            QueueName::Generate => {
                let (envelope, fields) = self.open(generate::GENERATE_FIELDS)?;
                let job = GenerateJob::decode(fields, envelope.at)?;
                Ok((envelope, Job::Generate(Box::new(job))))
            }
            QueueName::Recurring => {
                let (envelope, fields) = self.open(&recurring_fields())?;
                let job = RecurringJob::decode(fields)?;
                Ok((envelope, Job::Recurring(Box::new(job))))
            }
            QueueName::Send => {
                if let Some(recurring) = self.repeated() {
                    return recurring?.decode(QueueName::Recurring);
                }
                let (envelope, fields) = self.open(&[send::SEND_FIELDS, send::BULK_FIELDS].concat())?;
                let job = SendJob::decode(fields, envelope.at)?;
                Ok((envelope, Job::Send(Box::new(job))))
            }
            QueueName::Control => {
                let action = self.field("action").and_then(serde_json::Value::as_str);
                if let Some(action) = action.filter(|action| !control::ACTIONS.contains(action)) {
                    return Err(control::refused_action(action));
                }
                let (envelope, fields) = self.open(control::CONTROL_FIELDS)?;
                let job = ControlJob::decode(fields, envelope.at)?;
                Ok((envelope, Job::Control(job)))
            }
        }
    }
}

/// The fields of the queue `recurring`.
fn recurring_fields() -> Vec<&'static str> {
    [&["recurring"], recurring::TIMES_FIELDS, send::BULK_FIELDS].concat()
}

#[cfg(test)]
mod tests;
