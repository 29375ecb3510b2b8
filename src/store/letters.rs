//! Rejected jobs and dead letters: written with everything one needs to mend and run them again.

use redis::{cmd, streams::StreamRangeReply};

use super::{Store, StoreError, script::digest};

/// Of a job over the size limit only so much is kept.
pub const KEPT_OF_TOO_BIG: usize = 4096;

/// Which of the two streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Letters {
    /// Jobs refused before they began.
    Rejected,
    /// Jobs that were accepted and ended dead.
    Dead,
}

/// One refused or dead job.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Letter {
    /// Entry id in the stream; empty when it is about to be written.
    pub entry: String,
    /// The queue it came from.
    pub queue: String,
    /// The job's id.
    pub id: String,
    /// Stable code.
    pub code: String,
    /// A sentence.
    pub sentence: String,
    /// The job as it came (cut when it was too big).
    pub payload: String,
    /// Size of the whole payload.
    pub payload_bytes: u64,
    /// SHA-256 of the whole payload.
    pub digest: String,
    /// When, epoch ms.
    pub at: i64,
}

impl Letter {
    /// A letter about `payload`; of one above `max_bytes` the first 4 KiB are kept.
    pub fn about(queue: &str, id: &str, code: &str, sentence: &str, payload: &[u8], max_bytes: usize) -> Self {
        let kept = if payload.len() > max_bytes { payload.get(..KEPT_OF_TOO_BIG).unwrap_or(payload) } else { payload };
        Self {
            entry: String::new(),
            queue: queue.to_owned(),
            id: id.to_owned(),
            code: code.to_owned(),
            sentence: sentence.to_owned(),
            payload: String::from_utf8_lossy(kept).into_owned(),
            payload_bytes: payload.len() as u64,
            digest: digest(payload),
            at: 0,
        }
    }

    /// Whether the whole payload was kept, so that it can be replayed.
    pub fn is_whole(&self) -> bool {
        digest(self.payload.as_bytes()) == self.digest
    }
}

impl Letters {
    fn key(self, store: &Store) -> String {
        match self {
            Self::Rejected => store.keys.rejected(),
            Self::Dead => store.keys.dead(),
        }
    }
}

impl Store {
    /// Writes letters, at most about `max_bytes` of them being kept by the janitor.
    pub async fn write_letters(&self, which: Letters, letters: &[Letter]) -> Result<(), StoreError> {
        if letters.is_empty() {
            return Ok(());
        }
        let key = which.key(self);
        for letter in letters {
            let texts = [
                ("queue", letter.queue.as_str()),
                ("id", letter.id.as_str()),
                ("code", letter.code.as_str()),
                ("error", letter.sentence.as_str()),
                ("job", letter.payload.as_str()),
                ("digest", letter.digest.as_str()),
            ];
            let numbers = (("bytes", letter.payload_bytes), ("at", letter.at));
            self.surely::<()>("XADD", &key, ("*", texts.as_slice(), numbers)).await?;
        }
        Ok(())
    }

    /// The newest letters, or the one with this entry id.
    pub async fn letters(&self, which: Letters, entry: Option<&str>, count: usize) -> Result<Vec<Letter>, StoreError> {
        let mut range = cmd("XREVRANGE");
        range.arg(which.key(self));
        match entry {
            Some(id) => range.arg(id).arg(id),
            None => range.arg("+").arg("-"),
        };
        range.arg("COUNT").arg(count);
        self.read_letters(&range).await
    }

    /// The newest letters older than the one with this entry id, or of all.
    pub async fn letters_before(
        &self,
        which: Letters,
        before: Option<&str>,
        count: usize,
    ) -> Result<Vec<Letter>, StoreError> {
        let mut range = cmd("XREVRANGE");
        range.arg(which.key(self)).arg(before.map_or_else(|| "+".to_owned(), |entry| format!("({entry}")));
        range.arg("-").arg("COUNT").arg(count);
        self.read_letters(&range).await
    }

    /// Letters from entry `from` (`-` for the first, `(<id>` for what is behind it) to `last`, the oldest first.
    pub async fn letters_between(
        &self,
        which: Letters,
        from: &str,
        last: &str,
        count: usize,
    ) -> Result<Vec<Letter>, StoreError> {
        let mut range = cmd("XRANGE");
        range.arg(which.key(self)).arg(from).arg(last).arg("COUNT").arg(count);
        self.read_letters(&range).await
    }

    async fn read_letters(&self, range: &redis::Cmd) -> Result<Vec<Letter>, StoreError> {
        let reply: StreamRangeReply = self.connection.query(range).await?;
        Ok(reply
            .ids
            .into_iter()
            .map(|e| {
                let text = |name: &str| e.get::<String>(name).unwrap_or_default();
                Letter {
                    queue: text("queue"),
                    id: text("id"),
                    code: text("code"),
                    sentence: text("error"),
                    payload: text("job"),
                    payload_bytes: e.get("bytes").unwrap_or_default(),
                    digest: text("digest"),
                    at: e.get("at").unwrap_or_default(),
                    entry: e.id.clone(),
                }
            })
            .collect())
    }

    /// Removes a letter once it was replayed.
    pub async fn remove_letter(&self, which: Letters, entry: &str) -> Result<(), StoreError> {
        self.connection.query(cmd("XDEL").arg(which.key(self)).arg(entry)).await
    }

    /// Keeps a stream under `max_bytes`, the newest first. Returns how many entries went.
    pub async fn trim_to_bytes(&self, key: &str, max_bytes: u64) -> Result<u64, StoreError> {
        let used: Option<u64> = self.connection.query(cmd("MEMORY").arg("USAGE").arg(key)).await?;
        let used = used.unwrap_or(0);
        if used <= max_bytes {
            return Ok(0);
        }
        let length: u64 = self.connection.query(cmd("XLEN").arg(key)).await?;
        let keep = u64::try_from(u128::from(length) * u128::from(max_bytes) / u128::from(used)).unwrap_or(length);
        self.connection.query(cmd("XTRIM").arg(key).arg("MAXLEN").arg("~").arg(keep)).await
    }

    /// Removes from a stream what every consumer group has acknowledged. Without a group nothing goes.
    pub async fn trim_acknowledged(&self, key: &str) -> Result<u64, StoreError> {
        let groups: redis::streams::StreamInfoGroupsReply =
            match self.connection.query(cmd("XINFO").arg("GROUPS").arg(key)).await {
                Err(StoreError::Refused(_)) => return Ok(0),
                reply => reply?,
            };
        let mut slowest: Option<(u64, u64)> = None;
        for group in &groups.groups {
            let mut first_open = parse_entry_id(&group.last_delivered_id).map(|(ms, n)| (ms, n + 1));
            if group.pending > 0 {
                let mut pending = cmd("XPENDING");
                pending.arg(key).arg(&group.name).arg("-").arg("+").arg(1);
                let open: Vec<(String, String, u64, u64)> = self.connection.query(&pending).await?;
                first_open = open.first().and_then(|(id, ..)| parse_entry_id(id)).or(first_open);
            }
            slowest = match (slowest, first_open) {
                (Some(a), Some(b)) => Some(a.min(b)),
                (a, b) => a.or(b),
            };
        }
        let Some((ms, n)) = slowest else { return Ok(0) };
        self.connection.query(cmd("XTRIM").arg(key).arg("MINID").arg("~").arg(format!("{ms}-{n}"))).await
    }
}

fn parse_entry_id(id: &str) -> Option<(u64, u64)> {
    let (ms, n) = id.split_once('-')?;
    Some((ms.parse().ok()?, n.parse().ok()?))
}
