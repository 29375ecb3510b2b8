//! The text of one order's message, as it is sent and as a preview shows it.
//!
//! One place knows what a text may name besides the row's own columns, so that what a preview counts is
//! what leaves.

use serde_json::{Map, Value};

use super::{
    clock::EpochMs,
    message::{Message, MessageError, Vars},
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

/// The text for an order as it reads; currency and link base are the campaign's, where the order has none of its own.
pub fn of_order(
    message: &Message,
    order: &Order,
    currency: Option<Currency>,
    link_base: &str,
    farewell: Option<Farewell<'_>>,
) -> Result<String, MessageError> {
    let facts = Facts {
        amount: order.amount,
        currency: order.currency.or(currency),
        key: &order.key,
        contact: order.contact.as_ref().map_or("", |phone| phone.as_e164()),
        concept: &order.concept,
        reference: &order.reference,
        short_code: order.code(),
        expires_at: order.expires_at,
        vars: &order.vars,
        url: &order.link(link_base),
        farewell,
    };
    render(message, &facts, |_, _| ())
}

/// Writes the text for one order and tells of each look-alike it replaced. `amount` is in major units, as people
/// read it.
pub fn render(message: &Message, facts: &Facts<'_>, replaced: impl FnMut(char, &str)) -> Result<String, MessageError> {
    let amount = match facts.currency {
        Some(currency) if message.wants("amount") => facts.amount.format(currency),
        _ => String::new(),
    };
    let expires_at = if message.wants("expires_at") { facts.expires_at.to_rfc3339() } else { String::new() };
    let built_in = [
        ("amount", amount.as_str()),
        ("currency", facts.currency.map_or("", |c| c.code())),
        ("key", facts.key),
        ("SMScontact", facts.contact),
        ("concept", facts.concept),
        ("reference", facts.reference),
        ("short_code", facts.short_code),
        ("expires_at", expires_at.as_str()),
        (PLACEHOLDER, facts.farewell.map_or("", |farewell| farewell.link)),
    ];
    let mut text = message.render_telling(&Vars::new(facts.vars, &built_in), facts.url, replaced)?;
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
