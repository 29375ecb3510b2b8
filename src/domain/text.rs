//! The text of one message, for an order or a case, as it is sent and as a preview shows it.
//!
//! One place knows what a text may name besides the row's own columns, so that what a preview counts is
//! what leaves.

use serde_json::{Map, Value};

use super::{
    case::{Case, client},
    clock::EpochMs,
    contact::Address,
    content::{Compiled, Content, Rendered},
    message::{Message, MessageError, UrlPlace, Vars},
    money::{Amount, Currency},
    order::Order,
    unsubscribe::{Farewell, PLACEHOLDER},
};

/// What a text may say of an order.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// The sum.
    pub amount: Amount,
    /// Its currency, the order's own or the campaign's.
    pub currency: Option<Currency>,
    /// Identifies its row.
    pub key: &'a str,
    /// Shown to the payer.
    pub concept: &'a str,
    /// Shown to the payer.
    pub reference: &'a str,
    /// Where the message goes; empty where it goes nowhere.
    pub contact: &'a str,
    /// The end of its link.
    pub short_code: &'a str,
    /// When it expires.
    pub expires_at: EpochMs,
    /// The row's other columns.
    pub vars: &'a Map<String, Value>,
    /// Its link.
    pub url: &'a str,
    /// How a commercial text offers its end.
    pub farewell: Option<Farewell<'a>>,
}

impl<'a> Facts<'a> {
    /// What a text may say of an order as it reads; `url` is its link.
    fn of(order: &'a Order, currency: Option<Currency>, url: &'a str, farewell: Option<Farewell<'a>>) -> Self {
        Self {
            amount: order.amount,
            currency: order.currency.or(currency),
            key: &order.key,
            contact: order.contact.as_ref().map_or("", |phone| phone.as_e164()),
            concept: &order.concept,
            reference: &order.reference,
            short_code: order.code(),
            expires_at: order.expires_at,
            vars: &order.vars,
            url,
            farewell,
        }
    }

    /// Lends the values to `write`.
    fn lend<T>(&self, wants: impl Fn(&str) -> bool, write: impl FnOnce(&Vars<'_>) -> T) -> T {
        let written = Written::of(self, wants);
        write(&Vars::new(self.vars, &self.built_in(&written)))
    }

    fn built_in<'b>(&'b self, written: &'b Written) -> [(&'static str, &'b str); 10] {
        [
            ("amount", written.amount.as_str()),
            ("currency", self.currency.map_or("", |c| c.code())),
            ("key", self.key),
            ("SMScontact", self.contact),
            ("concept", self.concept),
            ("reference", self.reference),
            ("short_code", self.short_code),
            ("expires_at", written.expires_at.as_str()),
            ("url", self.url),
            (PLACEHOLDER, self.farewell.map_or("", |farewell| farewell.link)),
        ]
    }
}

/// Values that cost something to write: only what is wanted is there. `amount` is in major units, as people read it.
struct Written {
    amount: String,
    expires_at: String,
}

impl Written {
    fn of(facts: &Facts<'_>, wants: impl Fn(&str) -> bool) -> Self {
        Self {
            amount: match facts.currency {
                Some(currency) if wants("amount") => facts.amount.format(currency),
                _ => String::new(),
            },
            expires_at: if wants("expires_at") { facts.expires_at.to_rfc3339() } else { String::new() },
        }
    }
}

/// The variables that only a payment order has.
const OF_ORDER: [&str; 7] = ["url", "short_code", "amount", "currency", "concept", "reference", "expires_at"];

/// Variables of every case, beside the fields of its client.
const OF_CASE: [&str; 6] = ["key", "name", "labels", "birth_date", "SMScontact", "email"];

/// Whether a variable of a message is one that is always known, whatever columns a case was imported with.
pub fn is_built_in(name: &str) -> bool {
    OF_ORDER.contains(&name) || OF_CASE.contains(&name) || name == PLACEHOLDER || client::FIELDS.contains(&name)
}

/// Whether a message says something that only an order has.
pub fn needs_order(content: &Compiled) -> bool {
    OF_ORDER.iter().any(|variable| content.wants(variable))
}

/// What a run says.
#[derive(Debug, Clone)]
pub enum Words {
    /// The text of payment orders, with its place for their link.
    Order(Message),
    /// A bulk message; the link is a variable of it.
    Bulk(Compiled),
}

impl Words {
    /// From the fields of a run's hash, empty where it has none; or the code of why they do not compile.
    pub fn compile<'a>(field: impl Fn(&str) -> &'a str) -> Result<Self, &'static str> {
        let transliterate = field("transliterate") == "1";
        if field("content").is_empty() {
            let message = Message::compile(field("text"), UrlPlace::parse(field("url_place")));
            return message.map(|m| Self::Order(m.transliterated(transliterate))).map_err(|error| error.code());
        }
        let content: Content = serde_json::from_str(field("content")).map_err(|_| "template_syntax")?;
        let compiled = Compiled::compile(&content).map_err(|error| error.code())?;
        Ok(Self::Bulk(compiled.transliterated(transliterate)))
    }

    /// The provider's template, if it says that: its name and language.
    pub fn provider_template(&self) -> Option<(&str, &str)> {
        match self {
            Self::Order(_) => None,
            Self::Bulk(content) => content.provider_template(),
        }
    }

    /// The message for an order as it reads; currency and link base are the campaign's, where the order has none of its
    /// own.
    pub fn of_order(
        &self,
        order: &Order,
        currency: Option<Currency>,
        link_base: &str,
        farewell: Option<Farewell<'_>>,
    ) -> Result<Rendered, MessageError> {
        let url = order.link(link_base);
        let facts = Facts::of(order, currency, &url, farewell);
        match self {
            Self::Order(message) => {
                render(message, &facts, |_, _| ()).map(|text| Rendered { text, ..Rendered::default() })
            }
            Self::Bulk(content) => {
                let written = facts.lend(|name| content.wants(name), |vars| content.render(vars));
                Ok(with_farewell(written?, farewell))
            }
        }
    }
}

/// A bulk message for a case, to this address: its variables, the other fields of its client, what is known of the client
/// by name, and where it has an order and the message asks for one, the order's own.
pub fn of_case(
    content: &Compiled,
    case: &Case,
    to: &Address,
    order: Option<&Order>,
    (currency, link_base): (Option<Currency>, &str),
    farewell: Option<Farewell<'_>>,
) -> Result<Rendered, MessageError> {
    let client = &case.client;
    let names = [&client.first_name, &client.middle_name, &client.last_name];
    let name = names.into_iter().flatten().map(String::as_str).collect::<Vec<_>>().join(" ");
    let labels = client.labels.join(", ");
    let born = client.birth_date.map(|date| date.to_string()).unwrap_or_default();
    let mut built_in = vec![("key", case.id.as_str()), ("name", &name), ("labels", &labels), ("birth_date", &born)];
    built_in.extend(client.texts().into_iter().filter_map(|(name, text)| Some((name, text.as_deref()?))));
    built_in.push(match to {
        Address::Phone(phone) => ("SMScontact", phone.as_e164()),
        Address::Mail(mail) => ("email", mail.as_str()),
    });
    let beside = [&client.other];
    built_in.push((PLACEHOLDER, farewell.map_or("", |farewell| farewell.link)));
    let Some(order) = order else {
        let written = content.render(&Vars::new(&case.vars, &built_in).beside(&beside))?;
        return Ok(with_farewell(written, farewell));
    };
    let url = if content.wants_url() { order.link(link_base) } else { String::new() };
    let facts = Facts::of(order, currency, &url, farewell);
    let written = Written::of(&facts, |name| content.wants(name));
    let of_order = facts.built_in(&written);
    built_in.extend(of_order.iter().filter(|(name, _)| OF_ORDER.contains(name)));
    let written = content.render(&Vars::new(&case.vars, &built_in).beside(&[&client.other, facts.vars]))?;
    Ok(with_farewell(written, farewell))
}

/// Whatever a template asks or filters, a commercial message has its link (BM-19); on chat channels whose provider keeps
/// the words, only where those have a place for it.
fn with_farewell(mut written: Rendered, farewell: Option<Farewell<'_>>) -> Rendered {
    if let Some(farewell) = farewell {
        if !written.text.is_empty() {
            farewell.stand_in(&mut written.text);
        }
        if !written.html.is_empty() {
            farewell.stand_in_html(&mut written.html);
        }
    }
    written
}

/// Writes the text for one order and tells of each look-alike it replaced.
pub fn render(message: &Message, facts: &Facts<'_>, replaced: impl FnMut(char, &str)) -> Result<String, MessageError> {
    let mut text = facts.lend(|name| message.wants(name), |vars| message.render_telling(vars, facts.url, replaced))?;
    if let Some(farewell) = facts.farewell {
        farewell.stand_in(&mut text);
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn written(template: &str, vars: &Value) -> Result<String, MessageError> {
        commercial(template, vars, None)
    }

    fn commercial(template: &str, vars: &Value, farewell: Option<Farewell<'_>>) -> Result<String, MessageError> {
        let facts = Facts {
            amount: Amount::from_minor(1250, u64::MAX).unwrap(),
            currency: Some(Currency::parse("EUR").unwrap()),
            key: "c-7",
            contact: "+34600123456",
            concept: "Cuota",
            reference: "A-1",
            short_code: "aB3dE5",
            expires_at: EpochMs(1_763_719_200_000),
            vars: vars.as_object().unwrap(),
            url: "https://pay.example/?p=aB3dE5",
            farewell,
        };
        render(&Message::compile(template, None)?, &facts, |_, _| ())
    }

    #[test]
    fn a_text_may_use_a_column_by_the_name_that_stands_in_the_file() {
        let spanish = written("{{ id }}: {{ importe }} por {{ concepto }}, {{ Referencia }}", &json!({})).unwrap();
        assert_eq!(spanish, "c-7: 12.50 por Cuota, A-1 https://pay.example/?p=aB3dE5");
        let filtered = written("{{ importe | default('?') }} {{ telefono | upper }}", &json!({})).unwrap();
        assert_eq!(filtered, "12.50 +34600123456 https://pay.example/?p=aB3dE5");
        let english = written("{{ amount }} {{ concept }}", &json!({})).unwrap();
        assert_eq!(english, "12.50 Cuota https://pay.example/?p=aB3dE5");
    }

    fn reminder(text: &str, order: Option<&Order>) -> Result<String, MessageError> {
        let mut case = crate::domain::case::tests::case();
        case.client.last_name = Some("Ruiz".to_owned());
        case.client.other = json!({"plan": "gold", "city": "Lima"}).as_object().unwrap().clone();
        case.vars = json!({"debt": 3, "plan": "silver"}).as_object().unwrap().clone();
        let content = Content { text: text.to_owned(), ..Content::default() };
        let to = case.contacts[0].value.clone().unwrap();
        let content = Compiled::compile(&content).unwrap();
        let euro = Currency::parse("EUR").ok();
        of_case(&content, &case, &to, order, (euro, "https://pay.example/"), None).map(|rendered| rendered.text)
    }

    #[test]
    fn a_case_brings_its_variables_then_its_clients_fields_then_what_is_known_by_name() {
        let written = reminder("{{ name }} {{ plan }} {{ city }} {{ debt }} {{ id }} {{ movil }}", None).unwrap();
        assert_eq!(written, "Ana Ruiz silver Lima 3 c-1 +34600123456");
        assert_eq!(reminder("{{ first_name }}/{{ last_name }}", None).unwrap(), "Ana/Ruiz");
        assert_eq!(reminder("{{ gender }}", None).unwrap_err().reason(), "missing_variable:gender");
    }

    #[test]
    fn a_case_with_an_order_says_what_is_due_and_where_to_pay_it() {
        let mut order = crate::domain::order::tests::order();
        (order.amount, order.currency) = (Amount::from_minor(1250, u64::MAX).unwrap(), None);
        let written = reminder("{{ importe }} {{ currency }} {{ id }}: {{ url }}", Some(&order)).unwrap();
        assert_eq!(written, format!("12.50 EUR c-1: {}", order.link("https://pay.example/")));
        assert_eq!(reminder("{{ url }}", None).unwrap_err().reason(), "missing_variable:url");
    }

    #[test]
    fn bm_19_a_commercial_text_has_its_link_where_it_says_or_at_its_end_and_no_column_takes_its_place() {
        let farewell = Some(Farewell { link: "https://s.example/u/1", label: "Stop:" });
        let row = json!({"unsubscribe": "https://elsewhere.example"});
        for vars in [&json!({}), &row] {
            let text = |template| commercial(template, vars, farewell).unwrap();
            assert_eq!(text("Hola"), "Hola https://pay.example/?p=aB3dE5 Stop: https://s.example/u/1");
            assert_eq!(text("Baja {{ unsubscribe }}:"), "Baja https://s.example/u/1: https://pay.example/?p=aB3dE5");
            let hidden = "{% if vip %}{{ unsubscribe }}{% endif %}Hola";
            assert_eq!(text(hidden), text("Hola"));
            assert!(text("{{ unsubscribe | upper }}").ends_with(" Stop: https://s.example/u/1"));
        }
        let column = written("{{ unsubscribe }}", &row).unwrap();
        assert_eq!(column, "https://elsewhere.example https://pay.example/?p=aB3dE5");
        assert!(written("{{ unsubscribe }}", &json!({})).is_err());
    }

    #[test]
    fn bm_22_a_missing_variable_is_named_as_the_text_names_it() {
        let missing = written("{{ nombre }}", &json!({})).unwrap_err();
        assert!(missing.to_string().contains("nombre"), "{missing}");
    }
}
