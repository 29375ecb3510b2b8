//! Where a message can go: a phone number or an e-mail address, normalised.
//!
//! Both are what they look like in every store and job: `+34600123456`, `ana@example.com`. What opt-outs, caps and the
//! removal of doubles compare is [`Address::identity`], so that `Ana@example.com` and `ana@example.com` are one person.

use std::{borrow::Cow, fmt};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::{ContactError, Country, Mail, MailError, Phone};
use crate::domain::word::words;

words! {
    /// The two kinds of addresses that differ in what they look like; opt-outs are kept by these words.
    pub enum AddressKind {
        /// A phone number, whoever carries its messages.
        Phone = "phone",
        /// An e-mail address.
        Email = "email",
    }
}

/// Why an address was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// A phone number.
    #[error(transparent)]
    Phone(#[from] ContactError),
    /// An e-mail address.
    #[error(transparent)]
    Mail(#[from] MailError),
}

impl AddressError {
    /// The stable code of this refusal.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Phone(error) => error.code(),
            Self::Mail(error) => error.code(),
        }
    }
}

/// A phone number or an e-mail address.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Address {
    /// A phone number.
    Phone(Phone),
    /// An e-mail address.
    Mail(Mail),
}

impl Address {
    /// Reads an address of either kind: what has an `@` is e-mail.
    pub fn parse(raw: &str, country: Option<Country>) -> Result<Self, AddressError> {
        let kind = if raw.contains('@') { AddressKind::Email } else { AddressKind::Phone };
        Self::parse_as(kind, raw, country)
    }

    /// Reads an address of this kind; a phone number without `+` is one of `country`.
    pub fn parse_as(kind: AddressKind, raw: &str, country: Option<Country>) -> Result<Self, AddressError> {
        Ok(match kind {
            AddressKind::Phone => Self::Phone(Phone::parse(raw, country)?),
            AddressKind::Email => Self::Mail(Mail::parse(raw)?),
        })
    }

    /// Which of the two.
    pub const fn kind(&self) -> AddressKind {
        match self {
            Self::Phone(_) => AddressKind::Phone,
            Self::Mail(_) => AddressKind::Email,
        }
    }

    /// The address as it is given to a provider.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Phone(phone) => phone.as_e164(),
            Self::Mail(mail) => mail.as_str(),
        }
    }

    /// What two addresses of one person have in common: the number, or the e-mail address in lower case.
    pub fn identity(&self) -> Cow<'_, str> {
        match self {
            Self::Phone(phone) => phone.as_e164().into(),
            Self::Mail(mail) => mail.folded().into(),
        }
    }

    /// The address for events and screens.
    pub fn masked(&self) -> String {
        match self {
            Self::Phone(phone) => phone.masked(),
            Self::Mail(mail) => mail.masked(),
        }
    }

    /// The phone number, if it is one.
    pub const fn phone(&self) -> Option<&Phone> {
        match self {
            Self::Phone(phone) => Some(phone),
            Self::Mail(_) => None,
        }
    }
}

impl From<Phone> for Address {
    fn from(phone: Phone) -> Self {
        Self::Phone(phone)
    }
}

impl From<Mail> for Address {
    fn from(mail: Mail) -> Self {
        Self::Mail(mail)
    }
}

/// Debug output reaches logs, so it is masked (DA-9).
impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Phone(phone) => phone.fmt(f),
            Self::Mail(mail) => mail.fmt(f),
        }
    }
}

impl Serialize for Address {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Address {
    /// Reads back what was stored; the numbering plan is not asked again.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(deserializer)?;
        let read = de::value::StrDeserializer::<D::Error>::new(&text);
        if text.contains('@') {
            Mail::deserialize(read).map(Self::Mail)
        } else {
            Phone::deserialize(read).map(Self::Phone)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_what_it_looks_like() {
        let spain = Country::parse("ES").ok();
        let phone = Address::parse("600 12 34 56", spain).unwrap();
        let mail = Address::parse(" Ana@Example.com", spain).unwrap();
        assert_eq!((phone.kind(), phone.as_str()), (AddressKind::Phone, "+34600123456"));
        assert_eq!((mail.kind(), mail.as_str()), (AddressKind::Email, "Ana@example.com"));
        assert_eq!(mail.identity(), "ana@example.com");
        assert_eq!(Address::parse("600@", spain).unwrap_err().code(), "invalid_email");
        assert_eq!(Address::parse("3.46E+10", spain).unwrap_err().code(), "phone_in_scientific_notation");
        for address in [phone, mail] {
            let json = serde_json::to_string(&address).unwrap();
            assert_eq!(json, format!("\"{}\"", address.as_str()));
            assert_eq!(serde_json::from_str::<Address>(&json).unwrap(), address);
            assert!(!format!("{address:?}").contains("600123") && !format!("{address:?}").contains("Ana"));
        }
        assert!(serde_json::from_str::<Address>("\"600\"").is_err());
    }
}
