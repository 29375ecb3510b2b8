//! The demo's files are what they say: a large, mostly good campaign of several countries, with every kind of mistake.

use std::collections::{BTreeMap, BTreeSet};

use remesa::channel::settings::ChannelKind;
use remesa::config::Config;
use remesa::domain::contact::{Country, Phone};
use remesa::domain::message::{Message, UrlPlace};
use remesa::domain::money::{Amount, Currency};
use remesa::job::{Job, QueueName, Words, decode};
use serde_json::Value;

const CAMPAIGN: &str = include_str!("../../config/demo/campaign.csv");
const JOB: &str = include_str!("../../config/demo/job.json");
const CASES: &str = include_str!("../../config/demo/cases.csv");
const IMPORT: &str = include_str!("../../config/demo/import.json");
const RECURRING: &str = include_str!("../../config/demo/recurring.json");
const CONFIGURATION: &str = include_str!("../../config/demo/remesa.toml");

const MAX_AMOUNT_MINOR: u64 = 9_999_999;

#[test]
fn the_demo_campaign_is_mostly_good_and_has_every_kind_of_mistake() {
    let mut reader = csv::Reader::from_reader(CAMPAIGN.as_bytes());
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    let (mut countries, mut keys) = (BTreeSet::new(), BTreeSet::new());
    for row in reader.deserialize::<BTreeMap<String, String>>() {
        let row = row.unwrap();
        let country = Country::parse(&row["country"]);
        let kind = if Amount::parse(&row["amount"], MAX_AMOUNT_MINOR).is_err() {
            "bad amount"
        } else if !row["currency"].is_empty() && Currency::parse(&row["currency"]).is_err() {
            "unknown currency"
        } else if country.is_err() {
            "unknown country"
        } else if row["concept"].is_empty() || row["concept"].chars().count() > 100 {
            "bad concept"
        } else if row["reference"].chars().count() > 150 {
            "bad reference"
        } else if !keys.insert(row["key"].clone()) {
            "key twice"
        } else if row["SMScontact"].is_empty() {
            "no number"
        } else if Phone::parse(&row["SMScontact"], country.ok()).is_err() {
            "wrong number"
        } else if row["name"].is_empty() {
            "no name"
        } else {
            countries.insert(row["country"].clone());
            "good"
        };
        *counts.entry(kind).or_default() += 1;
    }
    assert_eq!(counts.values().sum::<usize>(), 600);
    assert!(counts["good"] >= 500, "{counts:?}");
    for (kind, least) in [
        ("no number", 30),
        ("wrong number", 10),
        ("bad amount", 10),
        ("unknown currency", 3),
        ("unknown country", 2),
        ("bad concept", 4),
        ("bad reference", 1),
        ("key twice", 1),
        ("no name", 2),
    ] {
        assert!(counts.get(kind).is_some_and(|count| *count >= least), "{kind}: {counts:?}");
    }
    assert!(countries.len() >= 8, "{countries:?}");
}

/// The demo's configuration with what only its run knows.
fn configuration() -> Config {
    let known = [("HOME", "/home/demo"), ("REMESA_CHANNELS__SMS_MAIN__RECEIPTS__SECRETS", "secret")];
    let known = known.map(|(name, value)| (name.to_owned(), value.to_owned()));
    Config::parse(CONFIGURATION, "config/demo/remesa.toml", known.into_iter()).unwrap()
}

#[test]
fn the_demo_job_names_what_the_demo_configuration_has() {
    let job: Value = serde_json::from_str(JOB).unwrap();
    let config = configuration();
    let channel = &config.channels[job["channel"].as_str().unwrap()];
    assert_eq!(channel.kind, ChannelKind::Sandbox);
    assert!(config.payment_point(job["payment_point"].as_str().unwrap()).is_some());
    let text = job["message"]["text"].as_str().unwrap();
    let message = Message::compile(text, Some(UrlPlace::End)).unwrap();
    let header = CAMPAIGN.lines().next().unwrap();
    for variable in message.variables() {
        assert!(header.split(',').any(|column| column == variable), "{variable} is no column");
    }
}

#[test]
fn the_cases_of_the_demo_carry_its_orders_and_its_permanent_message_is_one_that_it_may_have() {
    let config = configuration();
    let orders: BTreeSet<&str> = CAMPAIGN.lines().filter_map(|line| line.split(',').next()).collect();
    let mut ids = BTreeSet::new();
    for row in csv::Reader::from_reader(CASES.as_bytes()).deserialize::<BTreeMap<String, String>>() {
        let row = row.unwrap();
        assert!(orders.contains(row["order_key"].as_str()), "{row:?}");
        assert!(ids.insert(row["id"].clone()), "{row:?}");
    }
    assert!(ids.len() >= 40);
    let (_, Job::Import(import)) = decode(QueueName::Import, IMPORT.as_bytes()).unwrap() else { panic!("no import") };
    let (_, Job::Recurring(job)) = decode(QueueName::Recurring, RECURRING.as_bytes()).unwrap() else {
        panic!("no permanent message")
    };
    assert!(job.times.frequency.check(config.recurring_min_interval).is_ok());
    assert!(config.channels.contains_key(job.bulk.channel.as_str()));
    let Words::Template(template) = &job.bulk.words else { panic!("no template") };
    assert!(import.templates.iter().any(|known| known.name == *template));
}
