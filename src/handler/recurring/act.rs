//! An operator pauses, resumes or stops a definition, or wants a run of it now.

use serde_json::json;

use crate::{
    domain::{clock::EpochMs, name::JobId},
    job::{Next, Outcome, Rejection, RejectionCode},
    store::{
        StoreError,
        recurring::{AskedNow, DefinitionActed, alarm},
    },
};

use super::{Context, LOOKS, decoded, finish};

type Answer = Result<Result<Outcome, Rejection>, StoreError>;

/// Pauses, resumes or stops (`cancel`) a definition.
pub async fn act(ctx: &Context, id: &JobId, campaign: &str, name: &str, action: &str) -> Answer {
    let mut now = EpochMs(ctx.store.now_ms().await?);
    for _ in 0..LOOKS {
        let Some(definition) = ctx.store.definition(campaign, name).await? else {
            return Ok(Err(gone(campaign, name)));
        };
        now = EpochMs(ctx.store.now_ms().await?);
        // Due times that passed during the pause are not made up for.
        let next = decoded(campaign, name, &definition)
            .and_then(|job| job.times.schedule(definition.first).after(EpochMs(now.0.saturating_sub(1))));
        let seen = (definition.version, next);
        match ctx.store.act_on_definition(campaign, name, action, id.as_str(), seen).await? {
            DefinitionActed::Done => {
                if let ("resume", Some(next)) = (action, next) {
                    ctx.store.arm(&alarm(campaign, name), next.0).await?;
                }
                return Ok(Ok(Outcome::done(json!({ "action": action, "changed": true }))));
            }
            DefinitionActed::Same => {
                // Also where this very job did it and died before the alarm was set.
                if let ("resume", Some(next)) = (action, definition.next_at) {
                    ctx.store.arm(&alarm(campaign, name), next.0).await?;
                }
                return Ok(Ok(Outcome::done(json!({ "action": action, "changed": false }))));
            }
            DefinitionActed::Gone => return Ok(Err(gone(campaign, name))),
            DefinitionActed::Wrong(state) => return Ok(Err(wrong(campaign, name, action, &state))),
            DefinitionActed::Stale => {}
        }
    }
    Ok(Ok(Outcome::Snooze { until: now.plus(super::tick::LINE) }))
}

/// Makes a run of a definition now.
pub async fn run_now(ctx: &Context, id: &JobId, campaign: &str, name: &str) -> Answer {
    for _ in 0..LOOKS {
        let run = match ctx.store.run_now(campaign, name, id.as_str()).await? {
            AskedNow::Run(run) => run,
            AskedNow::Stale => {
                if let Some(definition) = ctx.store.definition(campaign, name).await? {
                    finish(ctx, campaign, name, &definition).await?;
                }
                continue;
            }
            AskedNow::Gone => return Ok(Err(gone(campaign, name))),
            AskedNow::Wrong(state) => return Ok(Err(wrong(campaign, name, "run_now", &state))),
            AskedNow::UnderWay(run) => {
                let rule = format!("the run \"{run}\" of it is under way, and a definition never overlaps itself");
                return Ok(Err(Rejection::of_field(RejectionCode::WrongState, "action", rule)));
            }
        };
        if let Some(definition) = ctx.store.definition(campaign, name).await?
            && let Some(rejection) = finish(ctx, campaign, name, &definition).await?
        {
            return Ok(Err(rejection));
        }
        if ctx.store.run(campaign, &run).await?.is_empty() {
            return Ok(Err(wrong(campaign, name, "run_now", "stopped")));
        }
        let next = vec![Next { campaign: campaign.to_owned(), run: run.clone(), at: None }];
        let result = json!({ "action": "run_now", "changed": true, "run": run });
        return Ok(Ok(Outcome::Done { result, next }));
    }
    let until = EpochMs(ctx.store.now_ms().await?).plus(super::tick::LINE);
    Ok(Ok(Outcome::Snooze { until }))
}

fn gone(campaign: &str, name: &str) -> Rejection {
    let rule = format!("the campaign \"{campaign}\" has no permanent message \"{name}\"");
    Rejection::of_field(RejectionCode::UnknownRecurring, "recurring", rule)
}

fn wrong(campaign: &str, name: &str, action: &str, state: &str) -> Rejection {
    let allowed = match state {
        "active" => "pause, cancel, run_now",
        "paused" => "resume, cancel, run_now",
        _ => "nothing",
    };
    let rule = format!("\"{name}\" of \"{campaign}\" is {state}: {action} is not allowed; allowed: {allowed}");
    Rejection::of_field(RejectionCode::WrongState, "action", rule)
}
