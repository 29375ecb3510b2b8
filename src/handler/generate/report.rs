//! The report of a generate job: its warnings and its result.

use serde_json::{Value, json};

use crate::{
    job::{RowCode, Warning, WarningCode, rows_have},
    store::StoreError,
};

use super::{Generation, slices::Progress};

impl Generation<'_> {
    /// What the end of generation warns of.
    pub(super) async fn warn_at_end(&self, progress: &Progress) -> Result<(), StoreError> {
        let mut warnings = Vec::new();
        if let Some(line) = progress.spreadsheet_phone_line {
            let count = progress.contacts_refused_by_code.get(SPREADSHEET_PHONE).copied().unwrap_or(1);
            let sentence = format!(
                "{} a phone such as 3.46E+10, which a spreadsheet made of a number, the first on line {line}: the \
                 orders exist, nothing is sent to them; export the column as text",
                rows_have(count)
            );
            warnings.push(Warning::new(WarningCode::SpreadsheetPhones, sentence));
        }
        if self.ctx.config.sources.error_file_max_bytes > 0 {
            warnings.extend(progress.errors.warning(progress.refused));
        }
        self.ctx.store.add_warnings(self.campaign, self.id.as_str(), &warnings).await
    }

    /// How many orders of the campaign its payment platform refused; their rows were good.
    async fn refused_by_platform(&self) -> Result<u64, StoreError> {
        let field = format!("refused:{}", RowCode::ProviderRefused);
        let found = self.ctx.store.campaign_fields(self.campaign, &[&field]).await?;
        Ok(found.into_iter().next().flatten().and_then(|count| count.parse().ok()).unwrap_or(0))
    }

    /// The result of a job that is done.
    pub(super) async fn result(&self, progress: &Progress, run: Option<&str>) -> Result<Value, StoreError> {
        let mut result = json!({
            "campaign": self.campaign,
            "orders": progress.orders,
            "refused": progress.refused,
            "refused_by_code": progress.refused_by_code,
            "without_valid_contact": progress.without_contact,
            "contacts_refused_by_code": progress.contacts_refused_by_code,
            "warnings": self.ctx.store.warnings_of(self.campaign, self.id.as_str()).await?,
        });
        let estimate = self.ctx.store.estimate_of(self.campaign, self.id.as_str()).await?;
        let by_platform = self.refused_by_platform().await?;
        if let Some(fields) = result.as_object_mut() {
            if by_platform > 0 {
                fields.insert("refused_by_platform".to_owned(), by_platform.into());
            }
            if let Some(run) = run {
                fields.insert("run".to_owned(), run.into());
            }
            if let Some(Value::Object(estimate)) = estimate.and_then(|text| serde_json::from_str(&text).ok()) {
                fields.extend(estimate);
            }
            fields.extend(progress.errors.shown());
        }
        Ok(result)
    }
}

/// The code of a phone that a spreadsheet destroyed.
pub(super) const SPREADSHEET_PHONE: &str = "phone_in_scientific_notation";
