//! Staging: what does not lie in the spool folder is copied into the state folder first, once.
//!
//! A copy that a crash left behind is taken up again where something was written of it and it is still the same; in every
//! other case it is made anew, and the digest tells whether the source changed meanwhile. It is removed with the end of
//! its job, and while a job waits for its time: what is behind the address then counts.

use std::{fs, path::Path};

use crate::{
    config::Config,
    domain::clock::EpochMs,
    job::{FileFormat, Outcome, Rejection, RejectionCode, RowsSpec},
    source::{
        Format, SourceError, SourceLimits, SourceSpec, digest,
        staging::{self, Staging},
        url::Address,
    },
    store::{Store, StoreError},
};

use super::{super::blocking, Begun, Intake, Stop};

/// Elements of a list read at once.
const LIST_CHUNK: u64 = 500;

/// The format that a job names.
pub(super) fn format_of(format: Option<FileFormat>) -> Option<Format> {
    format.map(|format| match format {
        FileFormat::Csv => Format::Csv,
        FileFormat::Ndjson => Format::Ndjson,
    })
}

/// Copies what does not lie in the spool folder.
#[derive(Debug, Clone, Copy)]
pub(in crate::handler) struct Copier<'a> {
    /// The configuration.
    pub(in crate::handler) config: &'a Config,
    /// Where lists are, if it is at hand.
    pub(in crate::handler) store: Option<&'a Store>,
    /// The folder of the copies.
    pub(in crate::handler) folder: &'a Path,
    /// The name of the copy.
    pub(in crate::handler) id: &'a str,
}

/// Where the rows of a job are.
pub(in crate::handler) enum Origin {
    /// In reach.
    Here(SourceSpec),
    /// In a list.
    List {
        /// Its key.
        key: String,
    },
    /// Behind an address.
    Url {
        /// The address.
        address: Box<Address>,
        /// The format that the job names.
        format: Option<Format>,
    },
}

/// Why there is no copy.
pub(in crate::handler) enum NotCopied {
    /// The source is to blame.
    Source(SourceError),
    /// The job is.
    Refused(Rejection),
    /// Redis is.
    Store(StoreError),
}

impl From<SourceError> for NotCopied {
    fn from(error: SourceError) -> Self {
        Self::Source(error)
    }
}

impl From<StoreError> for NotCopied {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl Origin {
    /// Where the rows of a job are; an address that is not allowed is none.
    pub(in crate::handler) fn of(rows: &RowsSpec, config: &Config) -> Result<Self, SourceError> {
        Ok(match rows {
            RowsSpec::Inline(rows) => Self::Here(SourceSpec::Inline(rows.clone())),
            RowsSpec::File { path, format } => {
                Self::Here(SourceSpec::File { path: path.clone(), format: format_of(*format) })
            }
            RowsSpec::List { key } => Self::List { key: key.clone() },
            RowsSpec::Url { url, format } => {
                Self::Url { address: Box::new(Address::parse(url, &config.sources.url)?), format: format_of(*format) }
            }
        })
    }

    /// As a sentence names it.
    fn name(&self) -> String {
        match self {
            Self::Here(spec) => spec.name(),
            Self::List { key } => format!("list {key:?}"),
            Self::Url { address, .. } => address.name(),
        }
    }
}

impl Intake<'_> {
    /// Where the rows are read from, copied there if need be.
    pub(in crate::handler) async fn stage(
        &self,
        limits: &SourceLimits,
        begun: Option<&Begun>,
    ) -> Result<SourceSpec, Stop> {
        let origin = match Origin::of(self.rows, &self.ctx.config) {
            Ok(Origin::Here(spec)) => return Ok(spec),
            Ok(origin) => origin,
            Err(error) => return Err(self.trouble(error, begun.is_some()).await?),
        };
        if let Some(begun) = begun
            && let Some(staged) = self.staged_before(&origin.name(), limits, begun).await
        {
            return Ok(staged);
        }
        let config = &self.ctx.config;
        let copier = Copier { config, store: Some(&self.ctx.store), folder: &config.state_dir, id: self.id.as_str() };
        match copier.copy(origin, limits).await {
            Ok(staged) => Ok(staged),
            Err(NotCopied::Source(error)) => Err(self.trouble(error, begun.is_some()).await?),
            Err(NotCopied::Refused(rejection)) => Err(rejection.into()),
            Err(NotCopied::Store(error)) => Err(error.into()),
        }
    }

    /// Removes the copy where the job ends with this outcome, or begins from the start when it comes again.
    pub(in crate::handler) fn unstage(&self, outcome: &Outcome, has_begun: bool) {
        if !matches!(self.rows, RowsSpec::List { .. } | RowsSpec::Url { .. }) {
            return;
        }
        let goes_on = match outcome {
            Outcome::Again | Outcome::Retry { .. } | Outcome::Snooze { .. } => has_begun,
            Outcome::Done { .. } | Outcome::Rejected { .. } | Outcome::Dead { .. } => false,
        };
        if !goes_on {
            // What stays goes by its age.
            let _ = fs::remove_file(staging::path(&self.ctx.config.state_dir, self.id.as_str()));
        }
    }

    /// The copy that was read before, if it is here and still the same.
    async fn staged_before(&self, name: &str, limits: &SourceLimits, begun: &Begun) -> Option<SourceSpec> {
        let path = staging::path(&self.ctx.config.state_dir, self.id.as_str());
        let staged = SourceSpec::Staged { path, name: name.to_owned(), format: begun.format };
        let (looked_at, limits) = (staged.clone(), limits.clone());
        let found = blocking(move || digest(&looked_at, &limits)).await;
        found.is_ok_and(|digest| digest == begun.digest).then_some(staged)
    }

    /// What an error of the source means for the job.
    pub(in crate::handler) async fn trouble(&self, error: SourceError, has_begun: bool) -> Result<Stop, Stop> {
        if matches!(error, SourceError::Stopped { .. }) {
            return Ok(Outcome::Again.into());
        }
        let missing = matches!(error, SourceError::Missing { .. });
        if missing && let Some(elsewhere) = self.seek().await? {
            return Ok(elsewhere.into());
        }
        // Once something was written of it, the source was good before: it may be again.
        if has_begun || error.is_passing() {
            return Ok(Outcome::Retry {
                failure_code: error.code().into(),
                sentence: error.to_string(),
                at: EpochMs(0),
            }
            .into());
        }
        if missing {
            return Ok(self.missing(&error).await?.into());
        }
        Ok(refusal(&error).into())
    }
}

/// A source that cannot be read, as a refusal.
pub(in crate::handler) fn refusal(error: &SourceError) -> Rejection {
    Rejection::of_code(error.code(), Some("rows_from"), error)
}

impl Copier<'_> {
    /// The rows where they can be read, copied if need be.
    pub(in crate::handler) async fn copy(
        &self,
        origin: Origin,
        limits: &SourceLimits,
    ) -> Result<SourceSpec, NotCopied> {
        let name = origin.name();
        match origin {
            Origin::Here(spec) => Ok(spec),
            Origin::List { key } => self.copy_list(&key, name, limits).await,
            Origin::Url { address, format } => self.copy_url(&address, format, limits).await,
        }
    }

    async fn begin(&self, name: &str) -> Result<Staging, SourceError> {
        Staging::begin(self.folder, self.id, name, rand::random(), self.config.sources.max_bytes).await
    }

    async fn copy_url(
        &self,
        address: &Address,
        format: Option<Format>,
        limits: &SourceLimits,
    ) -> Result<SourceSpec, NotCopied> {
        let copied = async {
            let mut copy = self.begin(&address.name()).await?;
            let found = address.fetch(&self.config.sources.url, &mut copy).await?;
            let (path, _) = copy.finish().await?;
            Ok(SourceSpec::Staged { path, name: address.name(), format: format.or(found) })
        };
        tokio::select! {
            copied = copied => copied,
            () = limits.stop.cancelled() => Err(SourceError::Stopped { name: address.name() }.into()),
        }
    }

    async fn copy_list(&self, key: &str, name: String, limits: &SourceLimits) -> Result<SourceSpec, NotCopied> {
        let Some(store) = self.store else {
            let reason = "Redis, where the list is, does not answer".to_owned();
            return Err(SourceError::NotStaged { name, reason }.into());
        };
        if store.keys.is_ours(key) {
            let rule = format!("{key:?} is one of Remesa's own keys: give the list a name of its own");
            let refused = Rejection::of_field(RejectionCode::InvalidValue, "rows_from.list", rule);
            return Err(NotCopied::Refused(refused));
        }
        let Some(length) = store.list_length(key).await? else {
            let reason = "there is something else than a list under this key";
            return Err(SourceError::Unsupported { name, reason }.into());
        };
        if length == 0 {
            return Err(SourceError::Empty { name }.into());
        }
        if length > limits.max_rows {
            return Err(SourceError::TooManyRows { name, max_rows: limits.max_rows }.into());
        }
        let mut copy = self.begin(&name).await?;
        let mut lines = Vec::new();
        let mut from = 0;
        while from < length {
            let rows = store.list_elements(key, from, LIST_CHUNK.min(length - from)).await?;
            if limits.stop.is_cancelled() {
                return Err(SourceError::Stopped { name }.into());
            }
            if rows.is_empty() {
                // Somebody takes rows out while we read.
                return Err(SourceError::Changed { name }.into());
            }
            lines.clear();
            for row in &rows {
                add_line(row, &mut lines);
            }
            from += rows.len() as u64;
            copy.write(&lines).await?;
        }
        let (path, _) = copy.finish().await?;
        Ok(SourceSpec::Staged { path, name, format: Some(Format::Ndjson) })
    }
}

/// An element as one line of NDJSON: a line end outside a string is a blank, and an empty element is a row, too.
fn add_line(row: &[u8], lines: &mut Vec<u8>) {
    if row.trim_ascii().is_empty() {
        lines.extend(b"null");
    } else {
        lines.extend(row.iter().map(|byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { *byte }));
    }
    lines.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_element_of_a_list_is_one_line() {
        let mut lines = Vec::new();
        for row in [&b"{\"amount\":\n 1}"[..], b"", b"{}"] {
            add_line(row, &mut lines);
        }
        assert_eq!(String::from_utf8(lines).unwrap(), "{\"amount\":  1}\nnull\n{}\n");
    }
}
