//! `filter` of a bulk message: conditions on the columns of a case, all of `all` and one of `any` (BM-20).

use serde_json::Value;

use super::codes::RejectionCode;
use super::fields::{Fields, not_one_of};
use super::rejection::Rejection;
use crate::domain::filter::{Condition, Filter, FilterError, NAMES, Operator};

pub(super) const FILTER_FIELDS: [&str; 2] = ["all", "any"];
pub(super) const CONDITION_FIELDS: [&str; 3] = ["column", "operator", "value"];

/// The filter of a job; none where it has no condition.
pub(super) fn filter(fields: &mut Fields) -> Result<Option<Filter>, Rejection> {
    let Some(value) = fields.take("filter") else { return Ok(None) };
    let mut groups = Fields::of_value(value, fields.at("filter"), &FILTER_FIELDS)?;
    let [all, any] = FILTER_FIELDS.map(|name| group(&mut groups, name));
    let filter = Filter::new(all?, any?).map_err(|error| refused(&fields.at("filter"), &error))?;
    Ok(Some(filter).filter(|filter| !filter.is_empty()))
}

fn group(groups: &mut Fields, name: &str) -> Result<Vec<Condition>, Rejection> {
    let conditions = groups.list(name)?.unwrap_or_default();
    let place = groups.at(name);
    conditions.into_iter().enumerate().map(|(index, value)| condition(value, format!("{place}[{index}]"))).collect()
}

fn condition(value: Value, place: String) -> Result<Condition, Rejection> {
    let mut fields = Fields::of_value(value, place, &CONDITION_FIELDS)?;
    let [column, operator] = ["column", "operator"].map(|name| {
        let text = fields.text(name)?;
        fields.required(name, text)
    });
    let (column, operator, value) = (column?, operator?, fields.take("value"));
    Condition::new(&column, &operator, value).map_err(|error| match &error {
        FilterError::UnknownColumn { .. } => {
            not_one_of(RejectionCode::UnknownColumn, &fields.at("column"), &column, &NAMES)
        }
        FilterError::UnknownOperator { .. } => {
            let known: Vec<&str> = Operator::ALL.iter().map(|operator| operator.as_str()).collect();
            not_one_of(RejectionCode::UnknownOperator, &fields.at("operator"), &operator, &known)
        }
        FilterError::Operator { .. } => refused(&fields.at("operator"), &error),
        FilterError::Value { .. } | FilterError::TooMany { .. } => refused(&fields.at("value"), &error),
    })
}

fn refused(field: &str, error: &FilterError) -> Rejection {
    Rejection::of_code(error.code(), Some(field), error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn decode(value: &Value) -> Result<Option<Filter>, Rejection> {
        let job = json!({ "filter": value });
        filter(&mut Fields::of_job(job.as_object().unwrap().clone(), &["filter"]).unwrap())
    }

    #[test]
    fn bm_20_a_filter_is_refused_with_a_sentence_that_says_where_and_why() {
        let one = |column: &str, operator: &str, value: Value| json!({"all": [{"column": "labels", "operator": "is_empty"}, {"column": column, "operator": operator, "value": value}]});
        for (value, code, field, words) in [
            (
                one("label s!", "contains", json!("vip")),
                "unknown_column",
                "filter.all[1].column",
                "did you mean \"labels\"",
            ),
            (one("saldo", "equals", json!(5)), "unknown_column", "filter.all[1].column", "vars.<field>"),
            (
                one("labels", "contain", json!("vip")),
                "unknown_operator",
                "filter.all[1].operator",
                "did you mean \"contains\"",
            ),
            (
                one("labels", "starts_with", json!("v")),
                "invalid_filter",
                "filter.all[1].operator",
                "labels is a set of labels",
            ),
            (one("birth_date", "less", json!("1990-13-01")), "invalid_filter", "filter.all[1].value", "1990-02-28"),
            (one("gender", "equals", json!(1)), "invalid_filter", "filter.all[1].value", "a text is wanted"),
            (one("state", "equals", json!("opened")), "invalid_filter", "filter.all[1].value", "one of new, open"),
            (one("order", "between", json!([9, 1])), "invalid_filter", "filter.all[1].value", "the first value"),
            (one("gender", "is_empty", json!("F")), "invalid_filter", "filter.all[1].value", "takes no value"),
            (one("gender", "in", json!([])), "invalid_filter", "filter.all[1].value", "a list of 1 to 1000"),
            (json!({"all": [{"column": "gender"}]}), "missing_field", "filter.all[0].operator", "required"),
            (json!({"any": ["gender"]}), "wrong_type", "filter.any[0]", "an object"),
            (json!({"any": {}}), "wrong_type", "filter.any", "a list"),
            (json!({"al": []}), "unknown_field", "filter.al", "did you mean \"all\""),
            (json!([]), "wrong_type", "filter", "an object"),
            (
                json!({"all": vec![json!({"column": "id", "operator": "is_not_empty"}); 51]}),
                "invalid_filter",
                "filter",
                "maximum is 50",
            ),
        ] {
            let refused = decode(&value).expect_err(&value.to_string());
            assert_eq!((refused.code.as_str(), refused.field.as_deref()), (code, Some(field)), "{value}: {refused}");
            assert!(refused.sentence.contains(words), "{refused}");
        }
    }

    #[test]
    fn a_filter_without_conditions_is_none() {
        for none in [json!(null), json!({}), json!({"all": []}), json!({"all": null, "any": []})] {
            assert_eq!(decode(&none).unwrap(), None);
        }
    }
}
