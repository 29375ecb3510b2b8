//! What the pages say, in English and Spanish: one table each, of the same keys.
//!
//! A text may hold `{name}`, which the template fills; where it fills `{n}`, the key with `.one` behind it is for a single
//! one. A key that is not there fails the page, so a test that shows every page finds it.

use std::{collections::BTreeMap, sync::LazyLock};

use super::super::language::Language;

/// A table: text by key.
pub(super) type Table = BTreeMap<String, String>;

static ENGLISH: LazyLock<Table> = LazyLock::new(|| read(include_str!("words/en.json")));
static SPANISH: LazyLock<Table> = LazyLock::new(|| read(include_str!("words/es.json")));

fn read(text: &str) -> Table {
    serde_json::from_str(text).unwrap_or_default()
}

/// The table of a language.
pub(super) fn table(language: Language) -> &'static Table {
    match language {
        Language::English => &ENGLISH,
        Language::Spanish => &SPANISH,
    }
}

/// A text with its places filled; none without such a key.
pub(super) fn say<'a>(
    language: Language,
    key: &str,
    is_one: bool,
    fill: impl Iterator<Item = (&'a str, String)>,
) -> Option<String> {
    let table = table(language);
    let one = is_one.then(|| table.get(&format!("{key}.one"))).flatten();
    let mut text = one.or_else(|| table.get(key))?.clone();
    for (name, value) in fill {
        text = text.replace(&format!("{{{name}}}"), &value);
    }
    Some(text)
}

/// A text without places.
pub(super) fn plain(language: Language, key: &str) -> Option<&'static str> {
    table(language).get(key).map(String::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{
        campaign::CampaignState,
        case::CaseState,
        delivery::DeliveryState,
        order::OrderState,
        run::{RunState, ShownState},
    };
    use crate::job::ReasonCode;

    #[test]
    fn both_tables_have_the_same_keys_and_places() {
        let keys = |language| table(language).keys().collect::<Vec<_>>();
        assert!(keys(Language::English).len() > 100);
        assert_eq!(keys(Language::English), keys(Language::Spanish));
        let places = |text: &str| {
            let mut found: Vec<String> =
                text.split('{').skip(1).filter_map(|rest| Some(rest.split_once('}')?.0.to_owned())).collect();
            found.sort_unstable();
            found
        };
        for (key, text) in table(Language::English) {
            assert_eq!(places(text), places(&table(Language::Spanish)[key]), "{key}");
        }
    }

    #[test]
    fn every_state_has_a_word_in_both_languages() {
        fn words<T: ToString>(all: &[T]) -> impl Iterator<Item = String> {
            all.iter().map(ToString::to_string)
        }
        let states = words(CampaignState::ALL)
            .chain(words(ShownState::ALL))
            .chain(words(RunState::ALL))
            .chain(words(DeliveryState::ALL))
            .chain(words(OrderState::ALL))
            .chain(CaseState::ALL.iter().map(|state| format!("case_{state}")));
        let others = [
            "open", "paused", "blocked", "breaker", "unserved", "active", "stopped", "done", "dead", "rejected",
            "waiting",
        ];
        for state in states.chain(others.map(str::to_owned)) {
            for language in Language::ALL {
                assert!(plain(language, &format!("state.{state}")).is_some(), "{state} in {language:?}");
            }
        }
    }

    #[test]
    fn every_reason_why_something_stands_still_has_words_in_both_languages() {
        for code in ReasonCode::ALL {
            for language in Language::ALL {
                assert!(plain(language, &format!("why.{}", code.as_str())).is_some(), "{code:?} in {language:?}");
            }
        }
    }

    #[test]
    fn a_single_one_has_a_text_of_its_own() {
        let say = |key, n: u64| say(Language::English, key, n == 1, std::iter::once(("n", n.to_string())));
        assert_eq!(say("n_orders", 1).unwrap(), "1 order");
        assert_eq!(say("n_orders", 2).unwrap(), "2 orders");
        assert_eq!(say("no such key", 2), None);
    }
}
