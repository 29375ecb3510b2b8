//! Who is turned away is counted, by why: many wrong tokens are somebody who tries, or a program with an old one.

use std::{borrow::Cow, sync::Arc};

use axum::{extract::State, response::Response};

use crate::metrics::{Metrics, labels::HttpRefusal};

/// Why a response is no other one; goes with it to where it is counted.
#[derive(Debug, Clone)]
pub(super) struct TurnedAway(pub(super) Cow<'static, str>);

/// Counts a response that turns somebody away.
pub(super) async fn count(State(metrics): State<Arc<Metrics>>, response: Response) -> Response {
    let why = response.extensions().get::<TurnedAway>().and_then(|TurnedAway(code)| HttpRefusal::parse(code));
    if let Some(why) = why {
        metrics.turned_away(why);
    }
    response
}
