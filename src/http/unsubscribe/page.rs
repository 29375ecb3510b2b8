//! What the page says, in English and Spanish: one HTML document without scripts, pictures or anything from elsewhere.
//!
//! Every value is escaped; the only values are the company's name and masked addresses.

use std::fmt::Write as _;
use std::sync::LazyLock;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use sha2::{Digest as _, Sha256};

use crate::{domain::html::escaped, http::language::Language};

/// How it looks. Its digest stands in the content policy.
const STYLE: &str = "body{font:18px/1.5 system-ui,sans-serif;max-width:32em;margin:12vh auto;padding:0 1.2em;color:#1a1a1a;\
background:#fff}h1{font-size:1.4em}button{font:inherit;padding:.7em 1.4em;border:0;border-radius:.4em;background:#1d4ed8;\
color:#fff;cursor:pointer}li{font-family:ui-monospace,monospace}\
@media(prefers-color-scheme:dark){body{color:#eee;background:#121212}}";

static CONTENT_POLICY: LazyLock<String> = LazyLock::new(|| {
    let digest = STANDARD.encode(Sha256::digest(STYLE));
    format!(
        "default-src 'none'; style-src 'sha256-{digest}'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    )
});

/// What a browser may do with the page: show it, and post its form to where it came from.
pub(super) fn content_policy() -> &'static str {
    &CONTENT_POLICY
}

/// What is to be said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Page {
    /// Shall these addresses be unsubscribed?
    Question(Vec<String>),
    /// They are.
    Done(Vec<String>),
    /// No link of ours.
    Unknown,
    /// Not now.
    Busy,
}

struct Words {
    title: &'static str,
    text: String,
    button: &'static str,
}

impl Page {
    /// The document.
    pub(super) fn html(&self, language: Language, company: &str) -> String {
        let words = self.words(language, company);
        let mut out = String::with_capacity(2048);
        // Writing to a text does not fail.
        let _ = write!(
            out,
            "<!doctype html>\n<html lang=\"{}\"><head><meta charset=\"utf-8\">\
             <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\
             <title>{}</title><style>{STYLE}</style></head><body><main><h1>{}</h1><p>{}</p>",
            language.code(),
            words.title,
            words.title,
            escaped(&words.text)
        );
        if let Self::Question(addresses) | Self::Done(addresses) = self
            && !addresses.is_empty()
        {
            out.push_str("<ul>");
            for address in addresses {
                let _ = write!(out, "<li>{}</li>", escaped(address));
            }
            out.push_str("</ul>");
        }
        if let Self::Question(_) = self {
            let _ = write!(
                out,
                "<form method=\"post\"><button name=\"List-Unsubscribe\" value=\"One-Click\">{}</button></form>",
                words.button
            );
        }
        out.push_str("</main></body></html>\n");
        out
    }

    fn words(&self, language: Language, company: &str) -> Words {
        let from =
            |preposition: &str| if company.is_empty() { String::new() } else { format!(" {preposition} {company}") };
        let (title, text, button) = match (self, language) {
            (Self::Question(_), Language::English) => (
                "Unsubscribe",
                format!("Do you want no more commercial messages{}, over any channel?", from("from")),
                "Unsubscribe",
            ),
            (Self::Question(_), Language::Spanish) => (
                "Darse de baja",
                format!("¿Quiere dejar de recibir mensajes comerciales{}, por cualquier canal?", from("de")),
                "Darme de baja",
            ),
            (Self::Done(_), Language::English) => {
                ("You are unsubscribed", format!("You will get no more commercial messages{}.", from("from")), "")
            }
            (Self::Done(_), Language::Spanish) => {
                ("Baja realizada", format!("Ya no recibirá mensajes comerciales{}.", from("de")), "")
            }
            (Self::Unknown, Language::English) => {
                ("Unknown link", "This link is not complete, or not valid any more.".to_owned(), "")
            }
            (Self::Unknown, Language::Spanish) => {
                ("Enlace desconocido", "Este enlace está incompleto o ya no es válido.".to_owned(), "")
            }
            (Self::Busy, Language::English) => {
                ("Not now", "Nothing has changed. Please try again in a moment.".to_owned(), "")
            }
            (Self::Busy, Language::Spanish) => {
                ("Ahora no es posible", "No ha cambiado nada. Inténtelo de nuevo en un momento.".to_owned(), "")
            }
        };
        Words { title, text, button }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_is_escaped_and_only_the_question_has_a_button() {
        let addresses = || vec!["\"><script>'".to_owned()];
        for language in [Language::English, Language::Spanish] {
            let question = Page::Question(addresses()).html(language, "A&B <b>");
            assert!(question.contains("A&amp;B &lt;b&gt;") && question.contains("&quot;&gt;&lt;script&gt;&#39;"));
            assert!(question.contains("<form method=\"post\"><button"), "{question}");
            for page in [Page::Done(addresses()), Page::Unknown, Page::Busy] {
                let html = page.html(language, "A&B <b>");
                assert!(!html.contains("<form") && !html.contains("<script") && !html.contains("<b>"), "{html}");
            }
        }
    }

    #[test]
    fn the_policy_lets_the_style_pass_and_no_script() {
        assert!(content_policy().starts_with("default-src 'none'; style-src 'sha256-"));
        assert!(!content_policy().contains("unsafe") && !content_policy().contains("script-src"));
    }
}
