//! Why a text was refused, or a message could not be written, each with its stable code.

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
    /// The text takes more steps or bytes to write than one message may: a template without end.
    #[error("text takes more {what} to write than a message may")]
    OverBudget {
        /// `steps` or `bytes`.
        what: &'static str,
    },
    /// Nothing is left to send once it is written.
    #[error("the message is empty for this recipient")]
    Nothing,
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
            Self::OverBudget { .. } => "template_over_budget",
            Self::Nothing => "message_empty",
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
            | Self::OverBudget { .. }
            | Self::Nothing
            | Self::TooLong { .. } => self.code().to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bm_22_the_recorded_reason_names_the_missing_variable() {
        let missing = MessageError::MissingVariable { name: "name".to_owned() };
        assert_eq!(missing.reason(), "missing_variable:name");
        assert_eq!(missing.to_string(), "variable name is missing or empty");
    }

    #[test]
    fn every_other_reason_is_the_code() {
        let all = [
            MessageError::Syntax { reason: "x".to_owned() },
            MessageError::UrlInMiddle,
            MessageError::UrlTwice,
            MessageError::UrlConflict { written: "start", asked: "end" },
            MessageError::Render { reason: "x".to_owned() },
            MessageError::OverBudget { what: "steps" },
            MessageError::Nothing,
            MessageError::TooLong { parts: 5, max: 4 },
        ];
        for error in all {
            assert_eq!(error.reason(), error.code());
        }
    }
}
