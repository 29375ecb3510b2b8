//! What is kept in Redis and sent later: templates and permanent messages that this version can still read.
//!
//! A template is for all campaigns, so which columns it may name is known only from cases: those of the newest campaigns
//! are looked at, some of each. A column that none of them has is worth knowing: every such message would fail.

use std::collections::BTreeSet;

use crate::{
    cli::format,
    domain::{case::Case, content::Compiled, text},
    job::RecurringJob,
    store::{Store, StoreError},
};

use super::{Finding, bad, good, warning};

/// Templates read at once, and at most.
const AT_ONCE: usize = 200;
const TEMPLATES: usize = 5_000;

/// Campaigns of which cases are looked at, and permanent messages.
const CAMPAIGNS: usize = 50;

/// Cases of each that are looked at.
const CASES: u64 = 100;

/// Looks at templates and permanent messages.
pub(super) async fn look(store: &Store) -> Vec<Finding> {
    match found(store).await {
        Ok(findings) => findings,
        Err(error) => vec![bad("templates", error.to_string())],
    }
}

async fn found(store: &Store) -> Result<Vec<Finding>, StoreError> {
    let columns = Columns::of_newest(store).await?;
    let mut findings = Vec::new();
    let (mut after, mut number) = (String::new(), 0_u64);
    loop {
        let names = store.template_names(&after, AT_ONCE).await?;
        let Some(last) = names.last() else { break };
        after.clone_from(last);
        for name in &names {
            number += 1;
            findings.extend(template(store, name, &columns).await?);
        }
        if names.len() < AT_ONCE || number >= TEMPLATES as u64 {
            break;
        }
    }
    if findings.is_empty() {
        let found = if number == 0 { "none".to_owned() } else { format!("{} can be used", format::count(number)) };
        findings.push(good("templates", found));
    }
    findings.extend(definitions(store).await?);
    Ok(findings)
}

async fn template(store: &Store, name: &str, columns: &Columns) -> Result<Option<Finding>, StoreError> {
    let what = format!("template {name}");
    let Some(stored) = store.template(name).await? else {
        return Ok(Some(bad(&what, "it cannot be read: import it again")));
    };
    let compiled = match Compiled::compile(&stored.content) {
        Ok(compiled) => compiled,
        Err(error) => return Ok(Some(bad(&what, format!("it does not compile any more: {error}; import it again")))),
    };
    let unknown = columns.unknown(compiled.variables());
    if unknown.is_empty() {
        return Ok(None);
    }
    let names: Vec<&str> = unknown.into_iter().collect();
    let sentence = format!(
        "it names {}, which none of the {} looked at has: messages without it fail, unless the text gives a default",
        names.join(", "),
        format::counted(columns.cases, "case")
    );
    Ok(Some(warning(&what, sentence)))
}

/// The columns that cases have.
#[derive(Default)]
struct Columns {
    names: BTreeSet<String>,
    cases: u64,
}

impl Columns {
    async fn of_newest(store: &Store) -> Result<Self, StoreError> {
        let mut columns = Self::default();
        for campaign in store.campaign_names(0, CAMPAIGNS).await? {
            let last = store.case_count(&campaign).await?;
            // The newest, whose columns are those of today.
            let first = last.saturating_sub(CASES) + 1;
            if last == 0 {
                continue;
            }
            for text in store.cases(&campaign, first..=last).await?.into_iter().flatten() {
                columns.cases += 1;
                if let Ok(case) = Case::from_json(&text) {
                    columns.names.extend(case.vars.into_iter().map(|(name, _)| name));
                    columns.names.extend(case.client.other.into_iter().map(|(name, _)| name));
                }
            }
        }
        Ok(columns)
    }

    /// Variables that no case has; none where there is no case to tell.
    fn unknown<'v>(&self, variables: &'v BTreeSet<String>) -> Vec<&'v str> {
        if self.cases == 0 {
            return Vec::new();
        }
        let known = |name: &str| text::is_built_in(name) || self.names.contains(name);
        variables.iter().map(String::as_str).filter(|name| !known(name)).collect()
    }
}

/// Permanent messages that are not stopped and cannot be read by this version.
async fn definitions(store: &Store) -> Result<Vec<Finding>, StoreError> {
    let (mut findings, mut number) = (Vec::new(), 0);
    let campaigns = store.campaign_names(0, CAMPAIGNS).await?;
    for campaign in if campaigns.is_empty() { campaigns } else { store.with_definitions(&campaigns).await? } {
        for (name, definition) in store.definitions(&campaign).await? {
            if definition.state == "stopped" {
                continue;
            }
            number += 1;
            if let Err(rejection) = RecurringJob::of_written(&definition.definition) {
                let what = format!("permanent message {name} of {campaign}");
                let sentence = format!("it cannot be read any more and is not sent: {rejection}; define it again");
                findings.push(bad(&what, sentence));
            }
        }
    }
    if findings.is_empty() && number > 0 {
        findings.push(good("permanent messages", format!("{} can be read", format::count(number))));
    }
    Ok(findings)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_is_unknown_where_there_are_cases_and_none_has_it() {
        let variables: BTreeSet<String> = ["first_name", "amount", "plan", "saldo"].map(str::to_owned).into();
        let columns = Columns { names: ["plan".to_owned()].into(), cases: 3 };
        assert_eq!(columns.unknown(&variables), ["saldo"]);
        assert_eq!(Columns::default().unknown(&variables), [""; 0], "without a case nobody knows");
    }
}
