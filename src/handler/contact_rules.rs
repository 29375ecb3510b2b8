//! What binds the messages of a run: the rules of its channel, from this configuration or from the daemons that serve it,
//! and those of the message.

use crate::{
    config::Config,
    domain::{
        campaign::Category,
        clock::EpochMs,
        contact_rules::{Bounds, ChannelRules, ContactRules},
        hours::{ContactHours, Moment, Otherwise},
    },
    job::{Warning, WarningCode},
    store::{Store, StoreError},
};

/// Field of a channel's hash: what it says of when and how often.
pub const TOLD: &str = "contact_rules";

/// What binds messages of a category over a channel.
pub async fn bounds(
    config: &Config,
    store: Option<&Store>,
    channel: &str,
    category: Category,
    message: &ContactRules,
) -> Result<Bounds, StoreError> {
    let told = match (config.channels.get(channel), store) {
        (Some(settings), _) => return Ok(Bounds::new(&settings.contact, category, message)),
        (None, Some(store)) => store.channel(channel).await?.remove(TOLD),
        (None, None) => None,
    };
    let channel = told.as_deref().and_then(ChannelRules::from_json).unwrap_or_default();
    Ok(Bounds::new(&channel, category, message))
}

/// What to warn of where messages may not leave at the time they are wanted.
pub fn warning(hours: &ContactHours, wanted: EpochMs) -> Option<Warning> {
    let Moment::Closed { opens, reason } = hours.at(wanted) else { return None };
    let what_follows = match hours.otherwise() {
        Otherwise::Hold => format!("sending will start at {opens}"),
        Otherwise::Skip => "nothing will be sent, for the hours say \"skip\"".to_owned(),
    };
    let why = match reason.as_str() {
        "outside_hours" => "it is outside the contact hours",
        "closed" => "the day is closed",
        reason => reason,
    };
    let sentence = format!("messages may not leave at {wanted} ({why}): {what_follows}");
    Some(Warning::new(WarningCode::OutsideHours, sentence))
}
