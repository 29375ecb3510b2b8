//! What a message says, as a job writes it: its texts have to compile, and to be of bearable length.

use serde_json::Value;

use super::codes::RejectionCode;
use super::fields::{Fields, wrong_type};
use super::generate::MESSAGE_MAX_CHARS;
use super::rejection::Rejection;
use crate::domain::content::{Compiled, Content, ContentError, ProviderTemplate};

pub(super) const PROVIDER_TEMPLATE_FIELDS: [&str; 3] = ["name", "language", "parameters"];

/// Whether the texts of a content compile and are of bearable length; `at` is where the content stands in its job.
pub(super) fn check_content(content: &Content, at: &str) -> Result<Compiled, Rejection> {
    let chars = content.text.chars().count();
    if chars > MESSAGE_MAX_CHARS {
        let rule = format!("{chars} characters, the maximum is {MESSAGE_MAX_CHARS}");
        return Err(Rejection::of_field(RejectionCode::TextTooLong, format!("{at}text"), rule));
    }
    Compiled::compile(content).map_err(|error: ContentError| {
        Rejection::of_code(error.code(), Some(&format!("{at}{}", error.field())), &error)
    })
}

/// A template that the provider keeps.
pub(super) fn provider_template(fields: &mut Fields) -> Result<Option<ProviderTemplate>, Rejection> {
    let Some(value) = fields.take("provider_template") else { return Ok(None) };
    let mut inner = Fields::of_value(value, fields.at("provider_template"), &PROVIDER_TEMPLATE_FIELDS)?;
    let (name, language) = (inner.text("name")?, inner.text("language")?);
    let (name, language) = (inner.required("name", name)?, inner.required("language", language)?);
    let mut parameters = Vec::new();
    for (index, value) in inner.list("parameters")?.unwrap_or_default().into_iter().enumerate() {
        let Value::String(text) = value else {
            return Err(wrong_type(&inner.at(&format!("parameters[{index}]")), &value, "a text"));
        };
        parameters.push(text);
    }
    Ok(Some(ProviderTemplate { name, language, parameters }))
}
