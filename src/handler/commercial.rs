//! Commercial messages: whether they can be sent at all, and what a run of them keeps (PO-24, BM-19).
//!
//! They need an address for their unsubscribe links: where the configuration knows none, the job is refused before
//! anything is written. What a run keeps (the beginning of its links, the label) was true when it was made and holds to
//! its end.

use crate::{
    config::Config,
    domain::{
        campaign::Category,
        unsubscribe::{Circle, CircleKind, LinkBase, Offer},
    },
    job::{Rejection, RejectionCode},
    store::{Store, StoreError},
};

/// Field of a run: what its links begin with.
const BASE: &str = "unsubscribe";

/// Field of a run: what stands before a link at the end of a text.
const LABEL: &str = "unsubscribe_label";

/// Where the links of this category lead: nowhere where there are none.
pub fn check(config: &Config, category: Category) -> Result<Option<&str>, Rejection> {
    match (category, config.unsubscribe.url.as_deref()) {
        (Category::Transactional, _) => Ok(None),
        (Category::Commercial, Some(url)) => Ok(Some(url)),
        (Category::Commercial, None) => {
            let rule = "\"commercial\" needs an address for its unsubscribe links, and the configuration has none: set \
                        unsubscribe.url or http.public_url";
            Err(Rejection::of_field(RejectionCode::CategoryUnavailable, "category", rule))
        }
    }
}

/// The fields of a run of this category over orders or cases of a campaign.
pub async fn run_fields(
    config: &Config,
    store: &Store,
    category: Category,
    (campaign, kind): (&str, CircleKind),
) -> Result<Result<Vec<(&'static str, String)>, Rejection>, StoreError> {
    let mut fields = vec![("category", category.to_string())];
    match check(config, category) {
        Err(rejection) => return Ok(Err(rejection)),
        Ok(None) => {}
        Ok(Some(url)) => {
            let circle = store.circle_number(&Circle { kind, campaign: campaign.to_owned() }).await?;
            fields.push((BASE, LinkBase::new(url, circle).as_str().to_owned()));
            fields.push((LABEL, config.unsubscribe.label.clone()));
        }
    }
    Ok(Ok(fields))
}

/// What a run offers, from its fields; nothing where it is not commercial.
pub fn offer<'a>(campaign: &str, kind: CircleKind, field: impl Fn(&str) -> &'a str) -> Option<Offer> {
    let base = LinkBase::of_run(field(BASE))?;
    let circle = Circle { kind, campaign: campaign.to_owned() };
    Some(Offer { base, label: field(LABEL).to_owned(), circle })
}

/// An unsubscribe link of the real length and what stands before it, for whoever counts before there is a run (PO-15).
pub fn sample(config: &Config, category: Category) -> Option<(String, String)> {
    let url = check(config, category).ok()??;
    Some((LinkBase::new(url, 0).sample(), config.unsubscribe.label.clone()))
}
