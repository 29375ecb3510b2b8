//! The job `import`: cases of a campaign, and templates of messages.
//!
//! What the text alone decides is decided here: names, the country, the templates, which all have to compile. A job may bring
//! cases, templates, or both; templates belong to no campaign.

use super::codes::RejectionCode;
use super::content::{check_content, provider_template};
use super::fields::Fields;
use super::generate::{category, shown_name};
use super::rejection::Rejection;
use super::rows_spec::{RowsSpec, rows};

use crate::domain::campaign::Category;
use crate::domain::contact::{ContactError, Country};
use crate::domain::content::Content;
use crate::domain::name::Name;

pub(super) const IMPORT_FIELDS: &[&str] =
    &["campaign", "name", "country", "category", "rows", "rows_from", "templates"];
pub(super) const TEMPLATE_FIELDS: [&str; 5] = ["name", "text", "subject", "html", "provider_template"];

/// Templates of one job.
pub const TEMPLATES_MAX: usize = 100;

/// A decoded job of the queue `import`.
#[derive(Debug, Clone, PartialEq)]
pub struct ImportJob {
    /// The cases, if it brings any.
    pub cases: Option<ImportedCases>,
    /// The templates, each of another name.
    pub templates: Vec<NewTemplate>,
}

/// Where the cases are, and what they belong to.
#[derive(Debug, Clone, PartialEq)]
pub struct ImportedCases {
    /// The campaign.
    pub campaign: Name,
    /// Its name for people, where it is new.
    pub name: Option<String>,
    /// The country whose numbers need no prefix; the campaign's where absent.
    pub country: Option<Country>,
    /// What kind of messages the campaign sends; the campaign's where absent.
    pub category: Option<Category>,
    /// Where the rows are.
    pub rows: RowsSpec,
}

/// A template as it is to be kept; it compiles.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewTemplate {
    /// Its name; one of that name is replaced.
    pub name: Name,
    /// What it says.
    pub content: Content,
}

impl ImportJob {
    /// The campaign it is about, if it brings cases.
    pub fn campaign(&self) -> Option<&Name> {
        self.cases.as_ref().map(|cases| &cases.campaign)
    }

    /// Decodes the fields that the envelope left.
    pub(super) fn decode(mut fields: Fields) -> Result<Self, Rejection> {
        let templates = templates(&mut fields)?;
        let has_rows = fields.has("rows") || fields.has("rows_from");
        if !has_rows && !templates.is_empty() {
            fields.nothing_else("templates alone; cases are brought by rows or rows_from")?;
            return Ok(Self { cases: None, templates });
        }
        let campaign = fields.name("campaign")?;
        let campaign = fields.required("campaign", campaign)?;
        let name = shown_name(&mut fields)?;
        let country = fields.parsed("country", Country::parse, ContactError::code)?;
        let category = category(&mut fields)?;
        let rows = rows(&mut fields)?;
        Ok(Self { cases: Some(ImportedCases { campaign, name, country, category, rows }), templates })
    }
}

fn templates(fields: &mut Fields) -> Result<Vec<NewTemplate>, Rejection> {
    let listed = fields.list("templates")?.unwrap_or_default();
    if listed.len() > TEMPLATES_MAX {
        let rule = format!("{} templates, the maximum is {TEMPLATES_MAX}", listed.len());
        return Err(fields.refuse(RejectionCode::InvalidValue, "templates", rule));
    }
    let mut templates: Vec<NewTemplate> = Vec::with_capacity(listed.len());
    for (index, value) in listed.into_iter().enumerate() {
        let at = format!("templates[{index}]");
        let mut inner = Fields::of_value(value, at.clone(), &TEMPLATE_FIELDS)?;
        let name = inner.name("name")?;
        let name = inner.required("name", name)?;
        if templates.iter().any(|known| known.name == name) {
            let rule = format!("the job brings the template \"{name}\" twice");
            return Err(inner.refuse(RejectionCode::DuplicateField, "name", rule));
        }
        let content = Content {
            text: inner.text("text")?.unwrap_or_default(),
            subject: inner.text("subject")?.unwrap_or_default(),
            html: inner.text("html")?.unwrap_or_default(),
            provider_template: provider_template(&mut inner)?,
        };
        check_content(&content, &format!("{at}."))?;
        templates.push(NewTemplate { name, content });
    }
    Ok(templates)
}

#[cfg(test)]
mod tests {
    use super::super::{Job, QueueName, decode};
    use super::*;
    use serde_json::{Value, json};

    fn import(job: &Value) -> Result<ImportJob, Rejection> {
        decode(QueueName::Import, job.to_string().as_bytes()).map(|(_, job)| {
            let Job::Import(job) = job else { panic!("not an import") };
            *job
        })
    }

    fn refused(job: &Value) -> (&'static str, String) {
        let rejection = import(job).unwrap_err();
        (rejection.code.as_str(), rejection.field.unwrap_or_default())
    }

    #[test]
    fn a_job_brings_cases_or_templates_or_both() {
        let rows = json!([{"id": "c-1"}]);
        let template = json!([{"name": "reminder", "text": "Hola {{ first_name }}"}]);
        let both = import(&json!({"campaign": "nov", "country": "ES", "rows": rows, "templates": template})).unwrap();
        assert_eq!((both.campaign().unwrap().as_str(), both.templates.len()), ("nov", 1));
        let alone = import(&json!({"templates": template})).unwrap();
        assert_eq!((alone.cases, alone.templates[0].name.as_str()), (None, "reminder"));
        assert!(import(&json!({"campaign": "nov", "rows": rows})).unwrap().templates.is_empty());
        assert_eq!(refused(&json!({"campaign": "nov"})).0, "missing_field");
        assert_eq!(refused(&json!({"rows": rows})), ("missing_field", "campaign".to_owned()));
        assert_eq!(refused(&json!({"campaign": "nov", "templates": template})).0, "conflicting_fields");
    }

    #[test]
    fn a_template_that_does_not_compile_refuses_the_job_and_is_named() {
        let template = |template: Value| refused(&json!({"templates": [{"name": "ok", "text": "Hola"}, template]}));
        let at = |field: &str| format!("templates[1].{field}");
        assert_eq!(template(json!({"name": "bad", "text": "Hola {{ name"})), ("template_syntax", at("text")));
        assert_eq!(template(json!({"name": "bad", "html": "{% for %}"})), ("template_syntax", at("html")));
        assert_eq!(template(json!({"name": "bad"})), ("missing_field", at("text")));
        assert_eq!(template(json!({"text": "Hola"})), ("missing_field", at("name")));
        assert_eq!(template(json!({"name": "ok", "text": "Hola"})), ("duplicate_field", at("name")));
        assert_eq!(template(json!({"name": "no good", "text": "Hola"})), ("invalid_name", at("name")));
        assert_eq!(template(json!({"name": "bad", "texto": "Hola"})).0, "unknown_field");
    }
}
