//! Words: the small languages inside jobs, rows and links: frequencies, times, amounts, addresses, filters, tokens.
//!
//! The first byte of an input chooses the language. A due time comes after the one before it, what is read is written
//! and read again as the same, and no link or reference is believed that we did not sign.

use std::time::Duration;

use remesa::domain::clock::{EpochMs, parse_duration};
use remesa::domain::contact::{Address, Country};
use remesa::domain::filter::{Condition, Filter};
use remesa::domain::frequency::crontab::Crontab;
use remesa::domain::frequency::interval::Interval;
use remesa::domain::frequency::{Frequency, Schedule};
use remesa::domain::money::{Amount, Currency};
use remesa::domain::name::{JobId, Name};
use remesa::domain::reference;
use remesa::domain::short_code::ShortCode;
use remesa::domain::sms;
use remesa::domain::unsubscribe::{Circle, CircleKind, Token};
use remesa::domain::zone::Zone;
use serde_json::Value;

use super::Target;

const SECRET: &[u8] = b"a secret that nobody guesses";
const NOW: EpochMs = EpochMs(1_795_647_544_612);
const HOUR: Duration = Duration::from_hours(1);

pub(super) const TARGET: Target = Target {
    name: "words",
    seeds,
    words: &[
        "*",
        "/",
        ",",
        "-",
        "0",
        "59",
        "31",
        "jan",
        "sun",
        "24h",
        "1d",
        "90m",
        "ms",
        "d",
        "w",
        "+",
        "T",
        "Z",
        "+01:00",
        ".",
        "@",
        "00",
        "34",
        "EUR",
        "ES",
        "mobile",
        "labels",
        "contains",
        "equals",
        "between",
        "is_empty",
        "debt",
        "created_at",
        "[1,2]",
        "\"vip\"",
        "{\"labels\":[\"vip\"]}",
        "\n",
        "\u{20ac}",
        "\u{200b}",
        "\u{202e}",
        "xn--",
        "..",
        "%",
        "$",
    ],
    read,
};

fn seeds() -> Vec<Vec<u8>> {
    [
        "\u{0}*/5 9-17 * * mon-fri",
        "\u{0}30 2 29 2 *",
        "\u{1}24h",
        "\u{1}1d",
        "\u{2}2026-11-25T10:00:00+01:00",
        "\u{3}12.50",
        "\u{4}+34 600 123 456",
        "\u{4}ana@example.com",
        "\u{5}labels\ncontains\n\"vip\"\n{\"state\":\"open\",\"number\":1,\"labels\":[\"vip\",\"x\"],\"vars\":{\"debt\":12}}",
        "\u{5}debt\ngreater_than\n10\n{\"vars\":{\"debt\":\"12\"}}",
        "\u{6}c/delivery@1/1.0/1.aaaaaaaaaaaaaaaa",
        "\u{7}Hola \u{20ac} [x] {y} \u{1f600}",
    ]
    .iter()
    .map(|seed| seed.as_bytes().to_vec())
    .collect()
}

fn read(input: &[u8]) -> String {
    let Some((how, rest)) = input.split_first() else { return String::new() };
    let text = String::from_utf8_lossy(rest);
    let told = match how % 8 {
        0 => Crontab::parse(&text).map(|cron| due(&Frequency::Cron(Box::new(cron)))).map_err(|error| error.code()),
        1 => Interval::parse(&text).map(|interval| due(&Frequency::Every(interval))).map_err(|error| error.code()),
        2 => time(&text),
        3 => amount(&text),
        4 => address(&text),
        5 => filter(&text),
        6 => Ok(signed(&text)),
        _ => Ok(parts(&text)),
    };
    format!("{} {told:?}", how % 8)
}

/// Due times come one after the other, in any zone.
fn due(frequency: &Frequency) -> String {
    let _ = frequency.check(HOUR);
    let mut count = 0;
    for zone in
        [Zone::UTC, Zone::parse("Europe/Madrid").expect("a zone"), Zone::parse("Asia/Kathmandu").expect("a zone")]
    {
        let schedule = Schedule { frequency: frequency.clone(), zone, first: NOW, until: None };
        let mut before = NOW.minus(HOUR);
        for at in schedule.coming(before).take(5) {
            assert!(at > before && at >= NOW, "{at:?} comes after {before:?}");
            before = at;
            count += 1;
        }
        let _ = schedule.due(NOW, NOW.plus(24 * HOUR));
    }
    format!("{} due", count > 0)
}

fn time(text: &str) -> Result<String, &'static str> {
    let duration = parse_duration(text).is_ok();
    let at = EpochMs::parse(text).map_err(|_| if duration { "a duration" } else { "no time" })?;
    assert_eq!(EpochMs::parse(&at.to_rfc3339()).map_err(|_| "not read again")?, at, "a time is read as it is written");
    Ok("a time".to_owned())
}

fn amount(text: &str) -> Result<String, &'static str> {
    let currency = Currency::parse(text).map_or("EUR", Currency::code);
    let amount = Amount::parse(text, 9_999_999).map_err(|_| "no amount")?;
    let shown = Currency::parse(currency).map(|currency| amount.format(currency));
    Ok(shown.map_or("no currency", |_| "an amount").to_owned())
}

fn address(text: &str) -> Result<String, &'static str> {
    for country in [None, Country::parse("ES").ok(), Country::parse("CO").ok()] {
        let Ok(address) = Address::parse(text, country) else { continue };
        let again = Address::parse(address.as_str(), None).map_err(|_| "not read again");
        assert_eq!(again.as_ref().map(Address::as_str), Ok(address.as_str()), "an address is read as it is written");
        let masked = address.masked();
        assert!(masked.contains('*'), "{masked}");
    }
    Address::parse(text, None).map(|_| "an address".to_owned()).map_err(|_| "no address")
}

fn filter(text: &str) -> Result<String, &'static str> {
    let mut lines = text.splitn(4, '\n');
    let mut line = || lines.next().unwrap_or_default();
    let (column, operator, value, case) = (line(), line(), line(), line());
    let value: Option<Value> = serde_json::from_str(value).ok();
    let condition = Condition::new(column, operator, value).map_err(|error| error.code())?;
    let filter = Filter::new(vec![condition.clone()], vec![condition]).map_err(|error| error.code())?;
    Ok(filter.matches(case).map_or_else(|_| "no case".to_owned(), |matches| format!("{matches}")))
}

fn signed(text: &str) -> String {
    assert!(reference::verify(SECRET, text).is_none(), "nobody signed {text:?}");
    let _ = reference::of_message_id(text);
    let circle = Circle { kind: CircleKind::Orders, campaign: "c".to_owned() };
    if let Some(token) = Token::parse(text) {
        assert!(!token.is_of(SECRET, &circle), "nobody signed {text:?}");
    }
    let kinds = (ShortCode::parse(text).is_ok(), Name::parse(text).is_ok(), JobId::parse(text).is_ok());
    format!("{kinds:?}")
}

fn parts(text: &str) -> String {
    let measure = sms::measure(text);
    assert_eq!(sms::parts(text), measure.parts, "{text:?}");
    let mut plain = text.to_owned();
    sms::transliterate(&mut plain, 0, |_, _| ());
    assert!(sms::parts(&plain) <= measure.parts.max(1) * 3, "look-alikes made it longer: {text:?}");
    format!("{:?}", measure.parts.min(5))
}
