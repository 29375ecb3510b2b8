//! Numbering plans: libphonenumber's metadata, and a shorter way through it.
//!
//! The library's parser runs some twenty regular expressions on a number. Most numbers of a
//! campaign are plain: national digits, or `+` and country code before them, of a mobile or fixed
//! line. For those [`plain`] asks only the expressions that decide, and says nothing about any
//! number that the parser could read otherwise: a national or international prefix, a country
//! code shared by countries that are told apart by their digits, a leading zero. Where it answers,
//! its answer is the parser's; a property compares the two.

use phonenumber::country::Id;
use phonenumber::metadata::{DATABASE, Database, Metadata};
use std::sync::LazyLock;

/// Compiled expressions kept; the library's 100 last for eight countries, and a number of a ninth
/// would compile its expressions again, at a thousand times the price of using them.
const EXPRESSIONS_KEPT: usize = 400;
/// Digits of a national number, from the library's parser.
const NATIONAL_DIGITS: std::ops::RangeInclusive<usize> = 3..=15;

static PLANS: LazyLock<&Database> = LazyLock::new(|| {
    let database: &Database = &DATABASE;
    if let Ok(mut cache) = database.cache().lock() {
        cache.set_capacity(EXPRESSIONS_KEPT);
    }
    database
});

/// Whether a country has a numbering plan.
pub(super) fn exists(country: Id) -> bool {
    PLANS.by_id(country.as_ref()).is_some()
}

/// Reads `+` and digits, or national digits of `country`, as E.164; `None` when it is no valid
/// number of its plan.
pub(super) fn parse(dialled: &str, country: Option<Id>) -> Option<String> {
    plain(dialled, country).or_else(|| by_parser(dialled, country))
}

fn by_parser(dialled: &str, country: Option<Id>) -> Option<String> {
    let number = phonenumber::parse_with(&PLANS, country, dialled).ok()?;
    number.is_valid_with(&PLANS).then(|| format!("+{}{}", number.code().value(), number.national()))
}

/// The shorter way; `None` says nothing about the number.
fn plain(dialled: &str, country: Option<Id>) -> Option<String> {
    let (code, national, plan) = match (dialled.strip_prefix('+'), country) {
        (Some(digits), _) => {
            let (code, national) = split_code(digits)?;
            (code, national, main_plan(code)?)
        }
        (None, Some(country)) => {
            let plan = PLANS.by_id(country.as_ref())?;
            let code = plan.country_code();
            let starts_abroad =
                plan.international_prefix().is_some_and(|prefix| begins(prefix.find(dialled).map(|m| m.start())));
            let is_main = main_plan(code)?.id() == plan.id();
            if starts_abroad || !is_main || dialled.starts_with(&code.to_string()) {
                return None;
            }
            (code, dialled, plan)
        }
        (None, None) => return None,
    };
    let prefixed = plan.national_prefix().is_some_and(|prefix| national.starts_with(prefix))
        || plan.national_prefix_for_parsing().is_some_and(|prefix| begins(prefix.find(national).map(|m| m.start())));
    if prefixed || national.starts_with('0') || !NATIONAL_DIGITS.contains(&national.len()) {
        return None;
    }
    let lines = plan.descriptors();
    let is_line = |line: Option<&phonenumber::metadata::Descriptor>| line.is_some_and(|l| l.is_match(national));
    let valid = lines.general().is_match(national) && (is_line(lines.mobile()) || is_line(lines.fixed_line()));
    valid.then(|| format!("+{code}{national}"))
}

/// Whether a match was found at the very beginning.
fn begins(found_at: Option<usize>) -> bool {
    found_at == Some(0)
}

/// Splits off the shortest country code that exists, as the parser does.
fn split_code(digits: &str) -> Option<(u16, &str)> {
    if digits.starts_with('0') {
        return None;
    }
    (1..=3).find_map(|len| {
        let (code, national) = digits.split_at_checked(len)?;
        let code = code.parse().ok()?;
        PLANS.by_code(&code).map(|_| (code, national))
    })
}

/// The plan that a valid number of this country code is judged by, if that is always the same:
/// the first of the countries that share the code, unless that one is told by leading digits.
fn main_plan(code: u16) -> Option<&'static Metadata> {
    let regions = PLANS.region(&code)?;
    // 001 stands for the numbers of no country: freephone, satellites.
    let first: &str = regions.first().filter(|region| **region != "001")?;
    let plan = PLANS.by_id(first)?;
    (regions.len() == 1 || plan.leading_digits().is_none()).then_some(plan)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The shorter way's answer, if it has one, has to be the parser's.
    fn compare(dialled: &str, country: Option<Id>) -> Result<(), TestCaseError> {
        if let Some(e164) = plain(dialled, country) {
            prop_assert_eq!(by_parser(dialled, country), Some(e164), "{} {:?}", dialled, country);
        }
        Ok(())
    }

    fn plans() -> Vec<(Id, &'static Metadata)> {
        PLANS.iter().filter_map(|plan| Some((plan.id().parse().ok()?, plan))).collect()
    }

    #[test]
    fn the_shorter_way_agrees_with_the_parser_on_the_examples_of_every_plan() {
        let (mut mobiles, mut answered) = (0, 0);
        for (country, plan) in plans() {
            let lines = plan.descriptors();
            let all = [
                lines.mobile(),
                lines.fixed_line(),
                lines.toll_free(),
                lines.premium_rate(),
                lines.shared_cost(),
                lines.personal_number(),
                lines.voip(),
                lines.pager(),
                lines.uan(),
                lines.voicemail(),
                lines.short_code(),
            ];
            for example in all.into_iter().flatten().filter_map(|line| line.example()) {
                let prefixed = plan.national_prefix().map(|prefix| format!("{prefix}{example}"));
                for national in [Some(example.to_owned()), prefixed].into_iter().flatten() {
                    compare(&national, Some(country)).unwrap();
                    compare(&format!("+{}{national}", plan.country_code()), None).unwrap();
                    compare(&format!("{}{national}", plan.country_code()), Some(country)).unwrap();
                }
            }
            if let Some(example) = lines.mobile().and_then(|line| line.example()) {
                mobiles += 1;
                answered += usize::from(plain(&format!("+{}{example}", plan.country_code()), None).is_some());
            }
        }
        // Otherwise the way would be short, right and of no use.
        assert!(answered * 10 > mobiles * 8, "{answered} of {mobiles}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(500))]

        #[test]
        fn the_shorter_way_agrees_with_the_parser_on_any_digits(
            index: proptest::sample::Index, digits in "[0-9]{2,13}", plus: bool, with_code: bool,
        ) {
            let plans = plans();
            let (country, plan) = index.get(&plans);
            let national = if with_code { format!("{}{digits}", plan.country_code()) } else { digits };
            compare(&if plus { format!("+{national}") } else { national }, Some(*country).filter(|_| !plus))?;
        }

        #[test]
        fn the_shorter_way_agrees_with_the_parser_near_valid_numbers(
            index: proptest::sample::Index, at in 0..9_usize, digit in "[0-9]{0,2}", plus: bool,
        ) {
            let plans = plans();
            let (country, plan) = index.get(&plans);
            let line = plan.descriptors().mobile().or(plan.descriptors().fixed_line());
            if let Some(example) = line.and_then(|line| line.example()) {
                let mut national = example.to_owned();
                let at = at.min(national.len());
                national.replace_range(at..(at + 1).min(national.len()), &digit);
                if plus {
                    compare(&format!("+{}{national}", plan.country_code()), None)?;
                } else {
                    compare(&national, Some(*country))?;
                }
            }
        }
    }
}
