//! Staging: what does not lie in the spool folder is copied into the state folder first, once.
//!
//! A copy that a crash left behind is taken up again where orders were made of it and it is still the same; in every
//! other case it is made anew, and the digest tells whether the source changed meanwhile. It is removed with the end of
//! its job, and while a job waits for its time: what is behind the address then counts.

use std::fs;

use crate::{
    domain::clock::EpochMs,
    job::{FileFormat, Outcome, Rejection, RejectionCode, RowsSpec},
    source::{
        Format, SourceError, SourceLimits, SourceSpec, digest,
        staging::{self, Staging},
        url::Address,
    },
    store::StoreError,
};

use super::{Generation, Stop, blocking};

/// Elements of a list read at once.
const LIST_CHUNK: u64 = 500;

/// The format that a job names.
pub(super) fn format_of(format: Option<FileFormat>) -> Option<Format> {
    format.map(|format| match format {
        FileFormat::Csv => Format::Csv,
        FileFormat::Ndjson => Format::Ndjson,
    })
}

impl Generation<'_> {
    /// Where the rows are read from, copied there if need be.
    pub(super) async fn stage(&self, limits: &SourceLimits) -> Result<SourceSpec, Stop> {
        match &self.job.rows {
            RowsSpec::Inline(rows) => Ok(SourceSpec::Inline(rows.clone())),
            RowsSpec::File { path, format } => Ok(SourceSpec::File { path: path.clone(), format: format_of(*format) }),
            RowsSpec::List { key } => {
                let name = format!("list {key:?}");
                if let Some(staged) = self.staged_before(&name, limits).await? {
                    return Ok(staged);
                }
                self.stage_list(key, name, limits).await
            }
            RowsSpec::Url { url, format } => {
                let settings = &self.ctx.config.sources.url;
                let address = match Address::parse(url, settings) {
                    Ok(address) => address,
                    Err(error) => return Err(self.trouble(error).await?),
                };
                if let Some(staged) = self.staged_before(&address.name(), limits).await? {
                    return Ok(staged);
                }
                self.stage_url(&address, format_of(*format), limits).await
            }
        }
    }

    /// Removes the copy, unless the job goes on with it.
    pub(super) async fn unstage(&self, outcome: &Outcome) -> Result<(), StoreError> {
        if !matches!(self.job.rows, RowsSpec::List { .. } | RowsSpec::Url { .. }) {
            return Ok(());
        }
        let goes_on = match outcome {
            Outcome::Again | Outcome::Retry { .. } | Outcome::Snooze { .. } => {
                self.progress().await?.is_some_and(|progress| progress.orders > 0)
            }
            Outcome::Done { .. } | Outcome::Rejected { .. } | Outcome::Dead { .. } => false,
        };
        if !goes_on {
            // What stays goes by its age.
            let _ = fs::remove_file(staging::path(&self.ctx.config.state_dir, self.id.as_str()));
        }
        Ok(())
    }

    /// The copy that orders were made of before, if it is here and still the same.
    async fn staged_before(&self, name: &str, limits: &SourceLimits) -> Result<Option<SourceSpec>, Stop> {
        let Some(progress) = self.progress().await?.filter(|progress| progress.orders > 0) else { return Ok(None) };
        let path = staging::path(&self.ctx.config.state_dir, self.id.as_str());
        let staged = SourceSpec::Staged { path, name: name.to_owned(), format: progress.format };
        let (looked_at, limits) = (staged.clone(), limits.clone());
        let found = blocking(move || digest(&looked_at, &limits)).await;
        Ok(found.is_ok_and(|digest| digest == progress.digest).then_some(staged))
    }

    async fn begin_copy(&self, name: &str) -> Result<Staging, SourceError> {
        let config = &self.ctx.config;
        Staging::begin(&config.state_dir, self.id.as_str(), name, rand::random(), config.sources.max_bytes).await
    }

    async fn stage_url(
        &self,
        address: &Address,
        format: Option<Format>,
        limits: &SourceLimits,
    ) -> Result<SourceSpec, Stop> {
        let copied = async {
            let mut copy = self.begin_copy(&address.name()).await?;
            let found = address.fetch(&self.ctx.config.sources.url, &mut copy).await?;
            let (path, _) = copy.finish().await?;
            Ok(SourceSpec::Staged { path, name: address.name(), format: format.or(found) })
        };
        let copied = tokio::select! {
            copied = copied => copied,
            () = limits.stop.cancelled() => Err(SourceError::Stopped { name: address.name() }),
        };
        match copied {
            Ok(staged) => Ok(staged),
            Err(error) => Err(self.trouble(error).await?),
        }
    }

    async fn stage_list(&self, key: &str, name: String, limits: &SourceLimits) -> Result<SourceSpec, Stop> {
        let store = &self.ctx.store;
        if store.keys.is_ours(key) {
            let rule = format!("{key:?} is one of Remesa's own keys: give the list a name of its own");
            return Err(Rejection::of_field(RejectionCode::InvalidValue, "rows_from.list", rule).into());
        }
        let Some(length) = store.list_length(key).await? else {
            let reason = "there is something else than a list under this key";
            return Err(self.trouble(SourceError::Unsupported { name, reason }).await?);
        };
        let wrong = if length == 0 {
            Some(SourceError::Empty { name: name.clone() })
        } else if length > limits.max_rows {
            Some(SourceError::TooManyRows { name: name.clone(), max_rows: limits.max_rows })
        } else {
            None
        };
        if let Some(error) = wrong {
            return Err(self.trouble(error).await?);
        }
        let mut copy = match self.begin_copy(&name).await {
            Ok(copy) => copy,
            Err(error) => return Err(self.trouble(error).await?),
        };
        let mut lines = Vec::new();
        let mut from = 0;
        while from < length {
            let rows = store.list_elements(key, from, LIST_CHUNK.min(length - from)).await?;
            let error = if limits.stop.is_cancelled() {
                Some(SourceError::Stopped { name: name.clone() })
            } else if rows.is_empty() {
                // Somebody takes rows out while we read.
                Some(SourceError::Changed { name: name.clone() })
            } else {
                lines.clear();
                for row in &rows {
                    add_line(row, &mut lines);
                }
                from += rows.len() as u64;
                copy.write(&lines).await.err()
            };
            if let Some(error) = error {
                return Err(self.trouble(error).await?);
            }
        }
        match copy.finish().await {
            Ok((path, _)) => Ok(SourceSpec::Staged { path, name, format: Some(Format::Ndjson) }),
            Err(error) => Err(self.trouble(error).await?),
        }
    }

    /// What an error of the source means for the job.
    pub(super) async fn trouble(&self, error: SourceError) -> Result<Stop, Stop> {
        if matches!(error, SourceError::Stopped { .. }) {
            return Ok(Outcome::Again.into());
        }
        let missing = matches!(error, SourceError::Missing { .. });
        if missing && let Some(elsewhere) = self.seek().await? {
            return Ok(elsewhere.into());
        }
        // Once there are orders, the source was good before: it may be again.
        let begun = self.progress().await?.is_some_and(|progress| progress.orders > 0);
        if begun || error.is_passing() {
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
        Ok(super::gates::refusal(&error).into())
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
