//! When and how often people may be written to: what a channel says, what a message says, and what binds a run.
//!
//! Hours of both bind, caps of both bind: a job can narrow what the operator set for a channel, not lift it. A channel's
//! rules hold for every category of message unless it names some (PO-23). A run keeps what bound it when it was made.

use serde::{Deserialize, Serialize};

use super::campaign::Category;
use super::cap::Cap;
use super::hours::{ContactHours, Hours};

/// Field of a run: its contact hours as JSON.
pub const HOURS: &str = "hours";
/// Field of a run: its caps as JSON.
pub const CAPS: &str = "caps";
/// Field of a run: `1` where no two messages of it go to one address.
pub const ONCE: &str = "once_per_address";

/// What one side says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ContactRules {
    /// When messages may leave.
    pub hours: Option<Hours>,
    /// How many an address gets.
    pub cap: Option<Cap>,
    /// No two messages of a run go to one address (BM-11).
    pub once_per_address: bool,
}

/// What a channel says, and for which messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelRules {
    /// What it says.
    pub rules: ContactRules,
    /// The categories it holds for.
    pub categories: Vec<Category>,
}

/// What binds a run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Bounds {
    /// When its messages may leave.
    pub hours: ContactHours,
    /// How many an address gets, counting those of other runs.
    pub caps: Vec<Cap>,
    /// No two of its messages go to one address (BM-11).
    pub once_per_address: bool,
}

impl Default for ChannelRules {
    fn default() -> Self {
        Self { rules: ContactRules::default(), categories: Category::ALL.to_vec() }
    }
}

impl ChannelRules {
    /// What holds for messages of a category.
    pub fn of(&self, category: Category) -> Option<&ContactRules> {
        self.categories.contains(&category).then_some(&self.rules)
    }

    /// As a daemon that serves the channel tells others.
    pub fn to_json(&self) -> String {
        // Plain values: there is nothing to refuse.
        serde_json::to_string(&Told {
            hours: self.rules.hours.as_ref().map(Hours::to_json),
            cap: self.rules.cap,
            categories: self.categories.clone(),
        })
        .unwrap_or_default()
    }

    /// Reads what [`ChannelRules::to_json`] wrote.
    pub fn from_json(text: &str) -> Option<Self> {
        let told: Told = serde_json::from_str(text).ok()?;
        let hours = told.hours.map(|hours| Hours::parse(&hours)).transpose().ok()?;
        Some(Self {
            rules: ContactRules { hours, cap: told.cap, once_per_address: false },
            categories: told.categories,
        })
    }
}

#[derive(Serialize, Deserialize)]
struct Told {
    hours: Option<serde_json::Value>,
    cap: Option<Cap>,
    categories: Vec<Category>,
}

impl Bounds {
    /// What binds a message of that category over that channel.
    pub fn new(channel: &ChannelRules, category: Category, message: &ContactRules) -> Self {
        let of_channel = channel.of(category);
        Self {
            hours: ContactHours::of(of_channel.and_then(|rules| rules.hours.as_ref()), message.hours.as_ref()),
            caps: of_channel.and_then(|rules| rules.cap).into_iter().chain(message.cap).collect(),
            once_per_address: message.once_per_address,
        }
    }

    /// The fields of a run; none where nothing binds.
    pub fn fields(&self) -> Vec<(&'static str, String)> {
        let caps =
            if self.caps.is_empty() { String::new() } else { serde_json::to_string(&self.caps).unwrap_or_default() };
        [(HOURS, self.hours.to_json()), (CAPS, caps), (ONCE, if self.once_per_address { "1" } else { "" }.to_owned())]
            .into_iter()
            .filter(|(_, value)| !value.is_empty())
            .collect()
    }

    /// What a run of these fields is bound by; nothing where they cannot be read, which a run with them does not survive.
    pub fn of_run<'a>(field: impl Fn(&str) -> &'a str) -> Result<Self, serde_json::Error> {
        let hours = match field(HOURS) {
            "" => ContactHours::default(),
            json => serde_json::from_str(json)?,
        };
        let caps = match field(CAPS) {
            "" => Vec::new(),
            json => serde_json::from_str(json)?,
        };
        Ok(Self { hours, caps, once_per_address: field(ONCE) == "1" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn rules(hours: &serde_json::Value, cap: &serde_json::Value) -> ContactRules {
        ContactRules { hours: Hours::parse(hours).ok(), cap: Cap::parse(cap).ok(), once_per_address: false }
    }

    fn colombia() -> ContactRules {
        rules(&json!("colombia"), &json!("colombia"))
    }

    #[test]
    fn po_23_a_channel_binds_every_category_unless_it_names_some() {
        let all = ChannelRules { rules: colombia(), ..ChannelRules::default() };
        for category in Category::ALL {
            let bounds = Bounds::new(&all, *category, &ContactRules::default());
            assert!(!bounds.hours.is_empty() && bounds.caps.len() == 1, "{category}");
        }
        let commercial = ChannelRules { rules: colombia(), categories: vec![Category::Commercial] };
        let bounds = Bounds::new(&commercial, Category::Transactional, &ContactRules::default());
        assert_eq!(bounds, Bounds::default());
        assert!(bounds.fields().is_empty());
    }

    #[test]
    fn a_message_narrows_what_its_channel_says_and_a_run_keeps_both() {
        let channel = ChannelRules { rules: colombia(), ..ChannelRules::default() };
        let message =
            rules(&json!({"timezone": "Europe/Madrid", "monday": "closed"}), &json!({"messages": 2, "per": "1w"}));
        let message = ContactRules { once_per_address: true, ..message };
        let bounds = Bounds::new(&channel, Category::Transactional, &message);
        assert_eq!(bounds.caps.len(), 2);
        let fields: std::collections::HashMap<_, _> = bounds.fields().into_iter().collect();
        let kept = Bounds::of_run(|name| fields.get(name).map_or("", String::as_str)).unwrap();
        assert_eq!(kept, bounds);
        assert!(Bounds::of_run(|_| "{").is_err());
    }

    #[test]
    fn a_daemon_tells_others_what_its_channel_says() {
        for channel in
            [ChannelRules::default(), ChannelRules { rules: colombia(), categories: vec![Category::Commercial] }]
        {
            assert_eq!(ChannelRules::from_json(&channel.to_json()), Some(channel));
        }
        assert_eq!(ChannelRules::from_json("{}"), None);
    }
}
