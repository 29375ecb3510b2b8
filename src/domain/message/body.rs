//! One compiled text without a place for a link: plain pieces where they do, the template language where not.
//!
//! A body knows where its text will stand: in HTML every value is escaped, whatever it holds, elsewhere none is. It
//! also knows how many bytes it may become; steps are bounded by the template language.

use super::pieces::Pieces;
use super::template::Template;
use super::{MessageError, Vars};
use crate::domain::html::push_escaped;
use std::collections::BTreeSet;

/// How values are written into a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::domain) enum Escape {
    /// As they are.
    None,
    /// As the text of an HTML element or of a quoted attribute shows them.
    Html,
}

/// A compiled text.
#[derive(Debug, Clone)]
pub(in crate::domain) struct Body {
    form: Form,
    escape: Escape,
    most_bytes: usize,
}

#[derive(Debug, Clone)]
enum Form {
    Plain(Pieces),
    Template(Template),
}

impl Body {
    /// Compiles a text that may become `most_bytes` long, and lists its variables.
    pub(in crate::domain) fn compile(
        text: &str,
        escape: Escape,
        most_bytes: usize,
    ) -> Result<(Self, BTreeSet<String>), MessageError> {
        let (form, names) = if let Some(pieces) = Pieces::compile(text) {
            let names = pieces.names().map(str::to_owned).collect();
            (Form::Plain(pieces), names)
        } else {
            let (template, names) = Template::compile(text, escape, most_bytes)?;
            (Form::Template(template), names)
        };
        Ok((Self { form, escape, most_bytes }, names))
    }

    /// Appends the text for one recipient.
    pub(in crate::domain) fn render(&self, vars: &Vars<'_>, out: &mut String) -> Result<(), MessageError> {
        match &self.form {
            Form::Plain(pieces) => pieces.render(vars, self.escape, self.most_bytes, out),
            Form::Template(template) => template.render(vars, out),
        }
    }

    /// Room that the rendered text is likely to need.
    pub(in crate::domain) const fn capacity(&self) -> usize {
        match &self.form {
            Form::Plain(pieces) => pieces.capacity(),
            Form::Template(_) => 160,
        }
    }
}

impl Escape {
    /// Escapes what stands behind `from`.
    pub(super) fn tail(self, out: &mut String, from: usize) {
        let special = |text: &str| text.contains(['&', '<', '>', '"', '\'']);
        if self == Self::Html && out.get(from..).is_some_and(special) {
            let value = out.split_off(from);
            push_escaped(&value, out);
        }
    }
}
