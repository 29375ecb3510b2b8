//! The `http` kind: any provider with a JSON API. One message is one request.

use std::time::{Instant, SystemTime};

use super::reply::{Refusals, ReplyMap};
use super::request::{RequestPlan, Write};
use super::settings::ChannelSettings;
use super::{Accepted, ChannelError, DeliverError, Probed, Submission};
use crate::domain::failure::Failure;
use crate::wire::{Client, ClientError, Patience, Rules};

/// A provider behind HTTP.
pub(super) struct HttpProvider {
    plan: RequestPlan,
    replies: ReplyMap,
    client: Client,
    takes_templates: bool,
    account: Option<(&'static str, &'static str)>,
}

/// What is known of a provider beyond what settings can say.
#[derive(Default)]
pub(super) struct Known {
    /// Writes the body; nothing: the template of the settings does.
    pub(super) write: Option<Write>,
    /// Further places of its error codes.
    pub(super) error_pointers: &'static [&'static str],
    /// How it refuses in a good answer.
    pub(super) refusals: Option<Refusals>,
    /// It keeps templates, and fills them in.
    pub(super) takes_templates: bool,
    /// Where it tells who we are: an end of the path of messages, and what stands there in its place.
    pub(super) account: Option<(&'static str, &'static str)>,
}

impl HttpProvider {
    /// Checks and compiles the settings; opens no connection.
    pub(super) fn build(settings: &ChannelSettings, known: &Known) -> Result<Self, ChannelError> {
        let plan = RequestPlan::build(settings, known.write)?;
        let rules = Rules {
            idempotent: settings.idempotent,
            denied_codes: settings.denied_codes.clone(),
            throttled_codes: settings.throttled_codes.clone(),
        };
        let patience = Patience {
            most_idle: usize::try_from(settings.in_flight).unwrap_or(usize::MAX),
            pool_idle: settings.pool_idle,
            connect_timeout: settings.connect_timeout,
            timeout: settings.timeout,
        };
        let client = Client::build(&plan.base, patience, rules.clone()).map_err(|error| match error {
            ClientError::Address => ChannelError::Url { channel: settings.name.clone() },
            ClientError::Tls => ChannelError::Tls { channel: settings.name.clone() },
        })?;
        let mut error_pointers = vec![pointer(settings, "error_pointer", &settings.error_pointer)?];
        error_pointers.extend(known.error_pointers.iter().map(|more| (*more).to_owned()));
        Ok(Self {
            plan,
            replies: ReplyMap {
                id_pointer: pointer(settings, "id_pointer", &settings.id_pointer)?,
                error_pointers,
                refusals: known.refusals,
                rules,
            },
            client,
            takes_templates: known.takes_templates,
            account: known.account,
        })
    }

    /// See [`super::Channel::deliver`].
    pub(super) async fn deliver(&self, submission: &Submission<'_>) -> Result<Accepted, DeliverError> {
        let filled = self.takes_templates && submission.template.is_some();
        if submission.text.is_empty() && submission.html.is_empty() && !filled {
            return Err(Failure::permanent("unsupported_content").into());
        }
        let request =
            self.plan.request(submission).map_err(|_| Failure::Permanent { code: "unrenderable_request".into() })?;
        let reply = self.client.ask(request, submission.deadline).await?;
        let told = [submission.text, submission.html, submission.subject, submission.to];
        Ok(self.replies.read(&reply, &told, SystemTime::now())?)
    }

    /// See [`super::Channel::probe`].
    pub(super) async fn probe(&self, deadline: Instant) -> Result<Probed, DeliverError> {
        let Some(request) = self.account.and_then(|account| self.plan.account(account, deadline)) else {
            return self.client.reach(deadline).await.map(|()| Probed::Reached);
        };
        let reply = self.client.ask(request, deadline).await?;
        if reply.status.is_success() {
            return Ok(Probed::KnowsUs);
        }
        match self.replies.read(&reply, &[], SystemTime::now()) {
            // It does not know the question: a proxy, or another version. That says nothing of us.
            Ok(_) | Err(Failure::Permanent { .. }) => Ok(Probed::Reached),
            Err(failure) => Err(failure.into()),
        }
    }

    /// See [`super::Channel::drop_idle`].
    pub(super) fn drop_idle(&self) {
        self.client.drop_idle();
    }
}

fn pointer(settings: &ChannelSettings, key: &'static str, text: &str) -> Result<String, ChannelError> {
    if text.is_empty() || text.starts_with('/') {
        Ok(text.to_owned())
    } else {
        Err(ChannelError::Pointer { channel: settings.name.clone(), key })
    }
}
