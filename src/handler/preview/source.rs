//! The source of a job that is previewed: where it lies, or a copy of it that is gone afterwards.

use tempfile::TempDir;

use crate::{
    job::{Rejection, RowsSpec},
    source::{SourceError, SourceLimits, SourceSpec},
    store::StoreError,
};

use super::{
    super::intake::stage::{self, Copier, NotCopied, Origin},
    Surroundings,
};

/// A source that can be read here.
pub(super) struct Copied {
    /// Where.
    pub source: SourceSpec,
    /// Removed when it is dropped, with the copy in it.
    _folder: Option<TempDir>,
}

/// Why a source is not read, or not to its end.
pub(super) enum Unread {
    /// The job would be refused.
    Refused(Rejection),
    /// The preview was stopped.
    Stopped,
}

impl From<SourceError> for Unread {
    fn from(error: SourceError) -> Self {
        let is_stopped = matches!(error, SourceError::Stopped { .. });
        if is_stopped { Self::Stopped } else { Self::Refused(stage::refusal(&error)) }
    }
}

impl Surroundings<'_> {
    /// The source of a job, copied where it does not lie in the spool folder.
    pub(super) async fn copied(
        &self,
        rows: &RowsSpec,
        limits: &SourceLimits,
    ) -> Result<Result<Copied, Unread>, StoreError> {
        let origin = match Origin::of(rows, self.config) {
            Ok(origin) => origin,
            Err(error) => return Ok(Err(error.into())),
        };
        let folder = match &origin {
            Origin::Here(_) => None,
            Origin::List { .. } | Origin::Url { .. } => {
                match tempfile::Builder::new().prefix("preview-").tempdir_in(self.folder) {
                    Ok(folder) => Some(folder),
                    Err(error) => {
                        let name = "rows_from".to_owned();
                        return Ok(Err(SourceError::NotStaged { name, reason: error.to_string() }.into()));
                    }
                }
            }
        };
        let folder_path = folder.as_ref().map_or(self.folder, TempDir::path);
        let copier = Copier { config: self.config, store: self.store, folder: folder_path, id: "rows" };
        Ok(match copier.copy(origin, limits).await {
            Ok(source) => Ok(Copied { source, _folder: folder }),
            Err(NotCopied::Source(error)) => Err(error.into()),
            Err(NotCopied::Refused(rejection)) => Err(Unread::Refused(rejection)),
            Err(NotCopied::Store(error)) => return Err(error),
        })
    }
}
