//! Where a browser says who it is.

use serde_json::json;

use super::{
    super::{incoming::local_path, rights::Access},
    HOME,
    page::{Ask, Page, Shown, Title},
};

/// The page. What it was asked with may be anything, so only what is known of it is told.
pub(super) fn page(access: &Access, ask: &mut Ask) -> Shown {
    let mut asked = ask.question()?;
    let wanted = asked.take("return").filter(|path| local_path(path).is_some());
    let refused = match asked.take("refused").as_deref() {
        Some("unknown_token") => Some("unknown_token"),
        Some("session_over") => Some("session_over"),
        _ => None,
    };
    let context = json!({
        "has_tokens": access.has_tokens(),
        "wanted": wanted.unwrap_or_else(|| HOME.to_owned()),
        "refused": refused,
    });
    Ok(Page::still("login.html", "", Title::Word("log_in"), context))
}
