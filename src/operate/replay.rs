//! A refused or dead job, found, judged, and put into its queue again.
//!
//! A replay writes the job into its queue and then removes the letter, in this order: interrupted between the two it is
//! there twice, never nowhere. The second one changes nothing, because it has the same id and payload: a job with an id
//! of its own is answered by the first, and one without is replayed under the id `replay:<entry>:<letters>` of its
//! letter. A dead job holds its id, so its status is removed first, and it runs again under it. What was cut cannot be
//! replayed.

use std::borrow::Cow;

use crate::{
    domain::name::JobId,
    job::{QueueName, RawJob, Rejection},
    store::{
        Store, StoreError,
        audit::{AuditEntry, Thing},
        letters::{Letter, Letters},
    },
};

use super::jobs::{self, Enqueued};

/// Letters looked through for a job's id.
const LOOKED_AT: usize = 10_000;

/// Why a letter is not replayed.
#[derive(Debug, thiserror::Error)]
pub enum NotReplayed {
    /// Its payload was not kept whole.
    #[error("its payload was not kept whole")]
    Cut,
    /// It is of a queue that this version does not know.
    #[error("its queue \"{0}\" is unknown")]
    UnknownQueue(String),
    /// It would be refused again.
    #[error("it would be refused again: {}: {}", .0.code.as_str(), .0.sentence)]
    Refused(Rejection),
    /// A later job has its id.
    #[error("a later job with the id \"{id}\" is {state}")]
    Taken {
        /// The id.
        id: String,
        /// What that job is.
        state: String,
    },
    /// Redis.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl NotReplayed {
    /// The stable code of it.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Cut => "payload_cut",
            Self::UnknownQueue(_) => "unknown_queue",
            Self::Refused(_) => "refused_again",
            Self::Taken { .. } => "id_taken",
            Self::Store(_) => "redis",
        }
    }
}

/// A job that may be put into its queue again.
#[derive(Debug)]
pub struct Judged {
    /// Its queue.
    pub queue: QueueName,
    /// Its id, where it has one of its own.
    pub id: Option<JobId>,
}

/// The word of the commands and of `POST /actions`.
pub fn word(which: Letters) -> &'static str {
    match which {
        Letters::Rejected => "rejected",
        Letters::Dead => "dead",
    }
}

/// By entry id, or the newest of a job.
pub async fn find(store: &Store, which: Letters, name: &str) -> Result<Option<Letter>, StoreError> {
    if is_entry_id(name) {
        return Ok(store.letters(which, Some(name), 1).await?.into_iter().next());
    }
    let all = store.letters(which, None, LOOKED_AT).await?;
    Ok(all.into_iter().find(|letter| letter.id == name))
}

/// Whether the job of a letter could run, as far as its form tells.
pub fn judge(letter: &Letter) -> Result<Judged, NotReplayed> {
    if !letter.is_whole() {
        return Err(NotReplayed::Cut);
    }
    let queue = QueueName::parse(&letter.queue).ok_or_else(|| NotReplayed::UnknownQueue(letter.queue.clone()))?;
    let checked = jobs::check(queue, letter.payload.as_bytes()).map_err(NotReplayed::Refused)?;
    Ok(Judged { queue, id: checked.id })
}

/// Puts the job of a letter into its queue again, and removes the letter.
pub async fn replay(store: &Store, which: Letters, letter: &Letter) -> Result<Enqueued, NotReplayed> {
    let judged = judge(letter)?;
    if which == Letters::Dead {
        free_id(store, letter).await?;
    }
    let (id, payload) = match judged.id {
        Some(id) => (Some(id), Cow::Borrowed(letter.payload.as_str())),
        None => with_id(which, letter, judged.queue),
    };
    let enqueued = jobs::put(store, judged.queue, payload.as_bytes(), id).await?;
    store.remove_letter(which, &letter.entry).await?;
    Ok(enqueued)
}

/// The same, and says in the audit who did it; `by` is an id of theirs (see [`crate::domain::actor`]).
pub async fn replay_for(store: &Store, which: Letters, letter: &Letter, by: &str) -> Result<Enqueued, NotReplayed> {
    let replayed = replay(store, which, letter).await;
    let campaign = RawJob::parse(letter.payload.as_bytes()).ok().and_then(|job| job.campaign());
    let of = Thing { campaign: campaign.map(|name| name.to_string()).unwrap_or_default(), ..Thing::default() };
    let outcome = match &replayed {
        Ok(_) => "done",
        Err(NotReplayed::Store(_)) => return replayed,
        Err(refused) => refused.code(),
    };
    let (before, after) = (word(which).to_owned(), format!("{} {}", letter.queue, letter.id));
    let entry = AuditEntry { before, after, outcome: outcome.to_owned(), ..AuditEntry::asked(by, "replay", of) };
    store.audit(&entry).await?;
    replayed
}

/// The job of a letter under an id that is the same each time it is replayed.
fn with_id(which: Letters, letter: &Letter, queue: QueueName) -> (Option<JobId>, Cow<'_, str>) {
    let id = format!("replay:{}:{}", letter.entry, word(which));
    let fields = letter.payload.trim_start().trim_start_matches('{');
    let payload = format!("{{\"id\":\"{id}\",{fields}");
    match jobs::check(queue, payload.as_bytes()) {
        Ok(checked) => (checked.id, payload.into()),
        // It was just under the size limit.
        Err(_) => (None, letter.payload.as_str().into()),
    }
}

/// A dead job gives its id free; a job that took the id since then does not.
async fn free_id(store: &Store, letter: &Letter) -> Result<(), NotReplayed> {
    match store.job_field(&letter.id, "state").await?.as_deref() {
        None | Some("rejected") => Ok(()),
        Some("dead") => Ok(store.forget_job(&letter.id).await?),
        Some(state) => Err(NotReplayed::Taken { id: letter.id.clone(), state: state.to_owned() }),
    }
}

fn is_entry_id(text: &str) -> bool {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.split_once('-').is_some_and(|(ms, n)| is_number(ms) && is_number(n))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_id_is_told_from_a_job_id() {
        assert!(is_entry_id("1763719200000-0"));
        for id in ["gen-nov", "2026-11-21", "generate:1763719200000-0", "1763719200000", "-1", "1-"] {
            assert!(!is_entry_id(id), "{id}");
        }
    }

    #[test]
    fn a_job_without_an_id_is_replayed_under_the_id_of_its_letter_however_often() {
        let payload = br#" {"action":"pause","campaign":"nov"}"#;
        let letter =
            Letter { entry: "5-1".to_owned(), ..Letter::about("control", "control:5-0", "c", "", payload, 99) };
        let (id, payload) = with_id(Letters::Dead, &letter, QueueName::Control);
        assert_eq!(id.unwrap().as_str(), "replay:5-1:dead");
        assert_eq!(payload, r#"{"id":"replay:5-1:dead","action":"pause","campaign":"nov"}"#);
        let big = Letter { payload: format!(r#"{{"action":"{}"}}"#, "x".repeat(2_000_000)), ..letter };
        assert_eq!(with_id(Letters::Dead, &big, QueueName::Control), (None, big.payload.as_str().into()));
    }

    #[test]
    fn what_was_cut_is_unknown_or_would_be_refused_again_is_not_replayed() {
        let letter = |queue: &str, payload: &[u8], max| Letter::about(queue, "x", "c", "", payload, max);
        let code = |letter: &Letter| judge(letter).unwrap_err().code();
        assert_eq!(code(&letter("generate", &vec![b' '; 9000], 100)), "payload_cut");
        assert_eq!(code(&letter("batch:sms", b"{}", 100)), "unknown_queue");
        assert_eq!(code(&letter("control", b"{}", 100)), "refused_again");
        assert!(judge(&letter("control", br#"{"action":"pause","campaign":"nov"}"#, 100)).is_ok());
    }
}
