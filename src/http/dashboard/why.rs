//! Why something does not move: what `remesa why` answers, on the page of the thing.

use std::time::Duration;

use serde_json::Value;

use super::Desk;
use crate::{
    http::answer::Fault,
    operate::why::{self, Subject, Verdict},
};

/// The answer as a template shows it; nothing of what is over or is not there. The pace is not measured, so that a page
/// waits for nobody.
pub(super) async fn of(desk: &Desk, subject: &Subject) -> Result<Value, Fault> {
    let answer = why::ask(&desk.state.store, &desk.state.config, subject, Duration::ZERO).await?;
    let open = answer.filter(|answer| answer.verdict != Verdict::Ended);
    Ok(open.and_then(|answer| serde_json::to_value(answer).ok()).unwrap_or_default())
}
