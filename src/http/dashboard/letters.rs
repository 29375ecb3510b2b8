//! Rejected jobs and dead letters: which, why, and one of them whole.
//!
//! A job may name people, so what it says is shown only where personal data is shown whole (`http.personal_data`).

use redis::cmd;
use serde_json::{Value, json};

use super::{
    Desk,
    page::{Ask, Page, Shown, Title},
};
use crate::{
    domain::lookup::PersonalData,
    http::answer::Fault,
    store::{
        Store, StoreError,
        letters::{Letter, Letters},
    },
};

/// Letters on a page.
const LIMIT: usize = 50;

/// Letters looked at for a filter.
const LOOKED_AT: usize = 2_000;

/// The two streams, by their name in addresses.
fn named(which: &str) -> Result<(Letters, &'static str), Fault> {
    match which {
        "rejected" => Ok((Letters::Rejected, "rejected")),
        "dead" => Ok((Letters::Dead, "dead")),
        _ => Err(Fault::no_page()),
    }
}

/// How many there are of each, and when the newest came.
pub(super) async fn counts(store: &Store) -> Result<Value, StoreError> {
    let mut found = serde_json::Map::new();
    for (name, key) in [("rejected", store.keys.rejected()), ("dead", store.keys.dead())] {
        let count: u64 = store.connection.query(cmd("XLEN").arg(&key)).await?;
        let newest: Vec<(String, redis::Value)> =
            store.connection.query(cmd("XREVRANGE").arg(&key).arg("+").arg("-").arg("COUNT").arg(1)).await?;
        let at = newest.first().and_then(|(entry, _)| entry.split('-').next()?.parse::<i64>().ok());
        found.insert(name.to_owned(), json!({ "count": count, "newest": at }));
    }
    Ok(Value::Object(found))
}

/// The list, newest first.
pub(super) async fn list(desk: &Desk, which: &str, ask: &mut Ask) -> Shown {
    let (letters, word) = named(which)?;
    let mut asked = ask.question()?;
    let (code, queue, after) = (asked.take("code"), asked.take("queue"), entry(asked.take("after"))?);
    asked.nothing_else("code, queue, after")?;
    let store = &desk.state.store;
    let is_filtered = code.is_some() || queue.is_some();
    let all = store.letters_before(letters, after.as_deref(), if is_filtered { LOOKED_AT } else { LIMIT + 1 }).await?;
    let fits = |wanted: &Option<String>, value: &str| wanted.as_deref().is_none_or(|wanted| wanted == value);
    let looked_at = all.len();
    let last = all.last().map(|letter| letter.entry.clone());
    let mut found: Vec<Letter> =
        all.into_iter().filter(|letter| fits(&code, &letter.code) && fits(&queue, &letter.queue)).collect();
    let next = if found.len() > LIMIT {
        found.truncate(LIMIT);
        found.last().map(|letter| letter.entry.clone())
    } else {
        last.filter(|_| is_filtered && looked_at == LOOKED_AT)
    };
    let context = json!({
        "now": store.now_ms().await?,
        "which": word,
        "counts": counts(store).await?,
        "letters": found.iter().map(|letter| row(letter, word)).collect::<Vec<_>>(),
        "next": next.map(|after| ask.here_with("after", &after)),
        "code": code,
        "queue": queue,
        "is_filtered": is_filtered || after.is_some(),
    });
    Ok(Page::live("letters.html", "letters", Title::Word(word), context))
}

/// One of them.
pub(super) async fn one(desk: &Desk, which: &str, entry: &str, ask: &Ask) -> Shown {
    let (letters, word) = named(which)?;
    let store = &desk.state.store;
    let found =
        if is_entry_id(entry) { store.letters(letters, Some(entry), 1).await?.into_iter().next() } else { None };
    let letter = found.ok_or_else(|| Fault::unknown_letter(word, entry))?;
    let is_shown = ask.rights.personal_data == PersonalData::Whole;
    let pretty = || {
        let job = serde_json::from_str::<Value>(&letter.payload).ok();
        job.and_then(|job| serde_json::to_string_pretty(&job).ok()).unwrap_or_else(|| letter.payload.clone())
    };
    let context = json!({
        "now": store.now_ms().await?,
        "which": word,
        "letter": row(&letter, word),
        "digest": letter.digest,
        "bytes": letter.payload_bytes,
        "payload": is_shown.then(pretty),
    });
    Ok(Page::still("letter.html", "letters", Title::Name(letter.id.clone()), context))
}

/// The id of an entry, as addresses name it.
pub(super) fn entry(written: Option<String>) -> Result<Option<String>, Fault> {
    match written {
        Some(id) if !is_entry_id(&id) => Err(Fault::invalid("that is not the id of an entry")),
        written => Ok(written),
    }
}

fn is_entry_id(text: &str) -> bool {
    text.split_once('-').is_some_and(|(ms, n)| [ms, n].iter().all(|part| part.parse::<u64>().is_ok()))
}

fn row(letter: &Letter, word: &str) -> Value {
    json!({
        "entry": letter.entry,
        "to": format!("/dashboard/letters/{word}/{}", letter.entry),
        "queue": letter.queue,
        "id": letter.id,
        "code": letter.code,
        "sentence": letter.sentence,
        "at": letter.at,
        "is_whole": letter.is_whole(),
    })
}
