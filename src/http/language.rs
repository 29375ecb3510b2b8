//! The language of a page: English or Spanish, as the browser asks.

use axum::http::{HeaderMap, header};

/// One of the languages of our pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::http) enum Language {
    /// English.
    English,
    /// Spanish.
    Spanish,
}

impl Language {
    /// Both.
    #[cfg(test)]
    pub(in crate::http) const ALL: [Self; 2] = [Self::English, Self::Spanish];

    /// The one that a request asks for.
    pub(in crate::http) fn asked_by(headers: &HeaderMap) -> Self {
        Self::of(headers.get(header::ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok()))
    }

    /// The one that `Accept-Language` wants most (RFC 9110, 12.5.4); English where it wants neither.
    pub(in crate::http) fn of(accepted: Option<&str>) -> Self {
        let mut best = (0, Self::English);
        for wish in accepted.unwrap_or_default().split(',') {
            let (range, weight) = wish.split_once(';').unwrap_or((wish, ""));
            let language = match range.trim().split('-').next().unwrap_or_default().to_ascii_lowercase().as_str() {
                "es" => Self::Spanish,
                "en" => Self::English,
                _ => continue,
            };
            let weight = thousandths(weight.trim().strip_prefix("q=").unwrap_or("1"));
            if weight > best.0 {
                best = (weight, language);
            }
        }
        best.1
    }

    /// Its code (BCP 47).
    pub(in crate::http) const fn code(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::Spanish => "es",
        }
    }
}

/// A weight such as `0.8`, without the arithmetic of fractions.
fn thousandths(weight: &str) -> u32 {
    let (whole, fraction) = weight.split_once('.').unwrap_or((weight, ""));
    let digits: String = fraction.chars().chain("000".chars()).take(3).collect();
    let number = |text: &str| text.parse::<u32>().unwrap_or(0);
    (number(whole).min(1) * 1000 + number(&digits)).min(1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_language_is_the_one_the_browser_wants_most() {
        for (accepted, language) in [
            ("es-CO,es;q=0.9,en;q=0.8", Language::Spanish),
            ("en-US,en;q=0.9,es;q=0.8", Language::English),
            ("fr, es;q=0.3", Language::Spanish),
            ("en;q=0.2, ES;q=0.25", Language::Spanish),
            ("es;q=0", Language::English),
            ("de", Language::English),
            ("es;q=hola, *;;q", Language::English),
            ("", Language::English),
        ] {
            assert_eq!(Language::of(Some(accepted)), language, "{accepted}");
        }
        assert_eq!(Language::of(None), Language::English);
    }
}
