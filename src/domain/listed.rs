//! Where a provider's list stands that comes in several lists.
//!
//! A JSON pointer (RFC 6901) in which `/*` stands for every element of a list: `/entry/*/changes/*/value/statuses` are
//! the statuses of all changes of all entries. Elements without such a list have none.

use serde_json::Value;

/// Everything that stands there; the body itself where nothing is said and it is no list. Nothing where no list stands.
pub(super) fn listed<'a>(body: &'a Value, pointer: &str) -> Option<Vec<&'a Value>> {
    let (outer, inner) = match pointer.split_once("/*") {
        Some((outer, inner)) => (outer, Some(inner)),
        None => (pointer, None),
    };
    let at = body.pointer(outer)?;
    match (at.as_array(), inner) {
        (Some(items), None) => Some(items.iter().collect()),
        (Some(items), Some(inner)) => Some(items.iter().filter_map(|item| listed(item, inner)).flatten().collect()),
        (None, None) if pointer.is_empty() => Some(vec![at]),
        (None, _) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn lists_in_lists_become_one() {
        let body = json!({"entry": [{"changes": [{"value": {"statuses": [1, 2]}}, {"value": {"messages": [9]}}]},
            {"changes": []}, {}, {"changes": [{"value": {"statuses": [3]}}]}]});
        let found = listed(&body, "/entry/*/changes/*/value/statuses").unwrap();
        assert_eq!(found, [&json!(1), &json!(2), &json!(3)]);
        assert_eq!(listed(&body, "/entri/*/changes"), None);
        assert_eq!(listed(&json!({"entry": 1}), "/entry/*/changes"), None);
    }

    #[test]
    fn a_plain_pointer_is_one_list_and_nothing_said_is_the_body() {
        let body = json!({"results": [1]});
        assert_eq!(listed(&body, "/results"), Some(vec![&json!(1)]));
        assert_eq!(listed(&body, ""), Some(vec![&body]));
        assert_eq!(listed(&json!([1, 2]), "").map(|found| found.len()), Some(2));
        assert_eq!(listed(&json!({"results": 1}), "/results"), None);
    }
}
