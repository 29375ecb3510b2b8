//! The text of a message: placeholders, and the payment link before or after it
//! (PO-12, PO-13, BM-22).
//!
//! A text is compiled once and rendered for each recipient. `{{ name }}` takes a column of the row
//! or a built-in value; an empty value counts as missing and fails that message, unless the text
//! gives a default or asks with `{% if name %}`. The link stands at the start or the end, with
//! exactly one space between. A text of plain placeholders is rendered from a list of pieces;
//! anything else by minijinja, with a closed set of filters, no functions, and bounded fuel.

use super::sms;
use std::collections::BTreeSet;

mod pieces;
mod template;
mod vars;

use pieces::Pieces;
use template::Template;
pub use vars::Vars;

/// The variable that stands for the payment link.
const URL: &str = "url";

/// Where the payment link stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UrlPlace {
    /// Before the text.
    Start,
    /// After the text.
    End,
}

/// Why a text was refused, or a message could not be written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// Not a template.
    #[error("text is not a valid template: {reason}")]
    Syntax {
        /// What is wrong, and where.
        reason: String,
    },
    /// The link is neither at the start nor at the end.
    #[error("text has {{{{ url }}}} in the middle: it may stand only at the very start or end")]
    UrlInMiddle,
    /// The link stands more than once.
    #[error("text has {{{{ url }}}} more than once")]
    UrlTwice,
    /// The placeholder and the setting disagree.
    #[error("text has {{{{ url }}}} at its {written}, but url says {asked}")]
    UrlConflict {
        /// Where the placeholder stands.
        written: &'static str,
        /// What the setting says.
        asked: &'static str,
    },
    /// A recipient has no value for a placeholder (BM-22).
    #[error("variable {name} is missing or empty")]
    MissingVariable {
        /// The placeholder.
        name: String,
    },
    /// The template failed on this recipient's values.
    #[error("text could not be rendered: {reason}")]
    Render {
        /// What went wrong; never a value.
        reason: String,
    },
    /// More parts than the operator allows (PO-13).
    #[error("text takes {parts} parts, more than {max}")]
    TooLong {
        /// Parts it takes with its link.
        parts: usize,
        /// Parts allowed.
        max: usize,
    },
}

impl MessageError {
    /// The stable code of this refusal.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Syntax { .. } => "template_syntax",
            Self::UrlInMiddle => "url_in_middle",
            Self::UrlTwice => "url_twice",
            Self::UrlConflict { .. } => "url_conflict",
            Self::MissingVariable { .. } => "missing_variable",
            Self::Render { .. } => "template_failed",
            Self::TooLong { .. } => "text_too_long",
        }
    }

    /// The reason recorded with a recipient: the code, and for a missing variable its name.
    pub fn reason(&self) -> String {
        match self {
            Self::MissingVariable { name } => format!("{}:{name}", self.code()),
            Self::Syntax { .. }
            | Self::UrlInMiddle
            | Self::UrlTwice
            | Self::UrlConflict { .. }
            | Self::Render { .. }
            | Self::TooLong { .. } => self.code().to_owned(),
        }
    }
}

#[derive(Debug, Clone)]
enum Body {
    Plain(Pieces),
    Template(Template),
}

/// A compiled text with its place for the link.
#[derive(Debug, Clone)]
pub struct Message {
    body: Body,
    place: UrlPlace,
    variables: BTreeSet<String>,
}

impl Message {
    /// Compiles a text. The link's place comes from `place`, or from a `{{ url }}` at the very
    /// start or end, or is the end.
    pub fn compile(text: &str, place: Option<UrlPlace>) -> Result<Self, MessageError> {
        let (rest, written) = take_url(text.trim());
        let (body, mut variables): (_, BTreeSet<_>) = if let Some(pieces) = Pieces::compile(rest) {
            let names = pieces.names().map(str::to_owned).collect();
            (Body::Plain(pieces), names)
        } else {
            let (template, names) = Template::compile(rest)?;
            (Body::Template(template), names)
        };
        if variables.remove(URL) {
            let twice = written.is_some() || count_url(rest) > 1;
            return Err(if twice {
                MessageError::UrlTwice
            } else {
                MessageError::UrlInMiddle
            });
        }
        let place = match (place, written) {
            (Some(asked), Some(written)) if asked != written && !rest.is_empty() => {
                return Err(MessageError::UrlConflict {
                    written: written.word(),
                    asked: asked.word(),
                });
            }
            (asked, written) => asked.or(written).unwrap_or(UrlPlace::End),
        };
        Ok(Self {
            body,
            place,
            variables,
        })
    }

    /// Writes the message for one recipient, with exactly one space between text and link and
    /// no blanks around the whole.
    pub fn render(&self, vars: &Vars<'_>, url: &str) -> Result<String, MessageError> {
        let mut out = String::with_capacity(self.capacity() + url.len() + 1);
        let head = match self.place {
            UrlPlace::Start => {
                out.push_str(url);
                out.push(' ');
                out.len()
            }
            UrlPlace::End => 0,
        };
        match &self.body {
            Body::Plain(pieces) => pieces.render(vars, &mut out)?,
            Body::Template(template) => template.render(vars, &mut out)?,
        }
        trim_tail(&mut out, head);
        trim_head(&mut out, head);
        match self.place {
            // An empty text leaves the link alone, without its space.
            UrlPlace::Start => trim_tail(&mut out, 0),
            UrlPlace::End if out.is_empty() => out.push_str(url),
            UrlPlace::End => {
                out.push(' ');
                out.push_str(url);
            }
        }
        Ok(out)
    }

    /// The names of all placeholders but the link.
    pub fn variables(&self) -> &BTreeSet<String> {
        &self.variables
    }

    /// Where the link stands.
    pub const fn place(&self) -> UrlPlace {
        self.place
    }

    /// Room that the rendered text is likely to need.
    fn capacity(&self) -> usize {
        match &self.body {
            Body::Plain(pieces) => pieces.capacity(),
            Body::Template(_) => 160,
        }
    }
}

impl UrlPlace {
    /// The word on the wire.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::End => "end",
        }
    }
}

/// Refuses a rendered message of more than `max` parts, and says how many it takes (PO-13).
pub fn check_parts(rendered: &str, max: usize) -> Result<usize, MessageError> {
    match sms::parts(rendered) {
        parts if parts > max => Err(MessageError::TooLong { parts, max }),
        parts => Ok(parts),
    }
}

/// Splits a `{{ url }}` off the start or the end.
fn take_url(text: &str) -> (&str, Option<UrlPlace>) {
    let behind = || {
        text.strip_prefix("{{")?
            .trim_start()
            .strip_prefix(URL)?
            .trim_start()
            .strip_prefix("}}")
    };
    let before = || {
        text.strip_suffix("}}")?
            .trim_end()
            .strip_suffix(URL)?
            .trim_end()
            .strip_suffix("{{")
    };
    if let Some(rest) = behind() {
        return (rest.trim_start(), Some(UrlPlace::Start));
    }
    match before() {
        Some(rest) => (rest.trim_end(), Some(UrlPlace::End)),
        None => (text, None),
    }
}

/// How often the link is written; only to choose between two sentences.
fn count_url(text: &str) -> usize {
    text.split("{{")
        .skip(1)
        .filter(|t| t.trim_start_matches(['-', ' ']).starts_with(URL))
        .count()
}

fn trim_tail(out: &mut String, from: usize) {
    let kept = out.get(from..).map_or(0, |text| text.trim_end().len());
    out.truncate(from + kept);
}

fn trim_head(out: &mut String, from: usize) {
    let blanks = out
        .get(from..)
        .map_or(0, |text| text.len() - text.trim_start().len());
    if blanks > 0 {
        out.drain(from..from + blanks);
    }
}
