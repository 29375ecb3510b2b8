//! Whom a case is about: the fields that filters and messages know by name, and any other.

use std::fmt;

use chrono::NaiveDate;
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{MapAccess, Visitor},
    ser::SerializeMap,
};
use serde_json::{Map, Value};

/// The fields with a meaning of their own; every other one stands in [`Client::other`].
pub const FIELDS: [&str; 8] =
    ["document_type", "document_number", "first_name", "middle_name", "last_name", "birth_date", "gender", "labels"];

/// How a date of birth is written.
pub const DATE_FORMAT: &str = "%Y-%m-%d";

/// The client of a case. Its JSON is one object: the known fields, and the others beside them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Client {
    /// What kind of document: `DNI`, `CC`, `passport`.
    pub document_type: Option<String>,
    /// The number on it.
    pub document_number: Option<String>,
    /// First name.
    pub first_name: Option<String>,
    /// Middle name.
    pub middle_name: Option<String>,
    /// Last name.
    pub last_name: Option<String>,
    /// Date of birth.
    pub birth_date: Option<NaiveDate>,
    /// Gender, as the producer writes it.
    pub gender: Option<String>,
    /// Labels: a set, in the order they came.
    pub labels: Vec<String>,
    /// Any other field.
    pub other: Map<String, Value>,
}

impl Client {
    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The known fields that are texts, by name.
    pub const fn texts(&self) -> [(&'static str, &Option<String>); 6] {
        [
            ("document_type", &self.document_type),
            ("document_number", &self.document_number),
            ("first_name", &self.first_name),
            ("middle_name", &self.middle_name),
            ("last_name", &self.last_name),
            ("gender", &self.gender),
        ]
    }

    /// The same, to be changed.
    pub const fn texts_mut(&mut self) -> [(&'static str, &mut Option<String>); 6] {
        [
            ("document_type", &mut self.document_type),
            ("document_number", &mut self.document_number),
            ("first_name", &mut self.first_name),
            ("middle_name", &mut self.middle_name),
            ("last_name", &mut self.last_name),
            ("gender", &mut self.gender),
        ]
    }

    /// A known text by its name.
    pub fn text_mut(&mut self, name: &str) -> Option<&mut Option<String>> {
        self.texts_mut().into_iter().find(|(known, _)| *known == name).map(|(_, field)| field)
    }
}

/// A date as it is stored.
fn written(date: NaiveDate) -> String {
    date.format(DATE_FORMAT).to_string()
}

impl Serialize for Client {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (name, value) in self.texts() {
            if let Some(value) = value {
                map.serialize_entry(name, value)?;
            }
        }
        if let Some(date) = self.birth_date {
            map.serialize_entry("birth_date", &written(date))?;
        }
        if !self.labels.is_empty() {
            map.serialize_entry("labels", &self.labels)?;
        }
        for (name, value) in &self.other {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Client {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ClientVisitor)
    }
}

struct ClientVisitor;

impl<'de> Visitor<'de> for ClientVisitor {
    type Value = Client;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the client of a case")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Client, A::Error> {
        let mut client = Client::default();
        while let Some(name) = access.next_key::<String>()? {
            match name.as_str() {
                "labels" => client.labels = access.next_value()?,
                "birth_date" => {
                    let text: String = access.next_value()?;
                    client.birth_date = NaiveDate::parse_from_str(&text, DATE_FORMAT).ok();
                }
                _ => {
                    if let Some(field) = client.text_mut(&name) {
                        *field = access.next_value()?;
                    } else {
                        client.other.insert(name, access.next_value()?);
                    }
                }
            }
        }
        Ok(client)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_client_is_one_object_of_known_and_other_fields() {
        let client = Client {
            first_name: Some("Ana".to_owned()),
            birth_date: NaiveDate::from_ymd_opt(1990, 2, 28),
            labels: vec!["vip".to_owned()],
            other: json!({"plan": "gold", "since": 2019}).as_object().unwrap().clone(),
            ..Client::default()
        };
        let json = serde_json::to_value(&client).unwrap();
        let expected =
            json!({"first_name":"Ana","birth_date":"1990-02-28","labels":["vip"],"plan":"gold","since":2019});
        assert_eq!(json, expected);
        assert_eq!(serde_json::from_value::<Client>(json).unwrap(), client);
        assert_eq!(serde_json::to_string(&Client::default()).unwrap(), "{}");
        assert!(Client::default().is_empty() && !client.is_empty());
    }

    #[test]
    fn every_known_field_is_one_of_the_list() {
        let texts: Vec<&str> = Client::default().texts().iter().map(|(name, _)| *name).collect();
        assert!(texts.iter().all(|name| FIELDS.contains(name)));
        assert_eq!(texts.len() + 2, FIELDS.len());
    }
}
