//! The rules and their tests, held together: `docs/rules.md` says what is built, and a test with the rule's number
//! proves it. A number in a test's name that is no rule, a rule without a test, a test or file that is named and is not
//! there: each is a fault.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// How many rules of each letter there are.
const RULES: [(&str, u32); 3] = [("PO", 25), ("BM", 28), ("DA", 9)];

/// A rule as the page has it.
#[derive(Debug, Default)]
struct Rule {
    built: bool,
    files: Vec<String>,
    tests: Vec<String>,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

/// The page, by number: `PO-1`.
fn page() -> BTreeMap<String, Rule> {
    let text = fs::read_to_string(root().join("docs/rules.md")).unwrap();
    let mut rules = BTreeMap::new();
    for section in text.split("\n### ").skip(1) {
        let (number, rest) = section.split_once(':').expect("a rule begins with its number and a title");
        let body = rest.split_once('\n').unwrap().1.trim_start();
        let quoted = |line: &str| line.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>();
        let rule = Rule {
            built: !body.starts_with("*Comes with "),
            files: body.lines().filter(|line| line.starts_with("Where: ")).flat_map(quoted).collect(),
            tests: body.lines().filter(|line| line.starts_with("* `")).flat_map(quoted).collect(),
        };
        assert!(rules.insert(number.to_owned(), rule).is_none(), "{number} stands twice");
    }
    rules
}

/// Names of the tests that carry a number, in `src` and `tests`.
fn numbered_tests() -> BTreeSet<String> {
    let mut folders = vec![root().join("src"), root().join("tests")];
    let mut names = BTreeSet::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(path).unwrap();
                let functions = text.lines().filter_map(|line| line.trim_start().split_once("fn ")?.1.split_once('('));
                names.extend(functions.map(|(name, _)| name.to_owned()).filter(|name| !numbers(name).is_empty()));
            }
        }
    }
    names
}

/// The rules whose numbers a name begins with: `po_18_and_po_19_...` is of two.
fn numbers(name: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut words = name.split('_').peekable();
    while let (Some(letters), Some(number)) = (words.next(), words.next()) {
        let known = RULES.iter().any(|(rule, _)| rule.to_lowercase() == letters);
        if !known || number.parse::<u32>().is_err() {
            break;
        }
        found.push(format!("{}-{number}", letters.to_uppercase()));
        if words.peek() == Some(&"and") {
            words.next();
        }
    }
    found
}

#[test]
fn every_rule_of_the_field_stands_on_the_page_and_no_other() {
    let expected: BTreeSet<String> =
        RULES.iter().flat_map(|(letters, count)| (1..=*count).map(move |n| format!("{letters}-{n}"))).collect();
    assert_eq!(page().into_keys().collect::<BTreeSet<_>>(), expected);
}

#[test]
fn every_built_rule_has_a_test_with_its_number_and_every_number_is_a_rule() {
    let (page, tests) = (page(), numbered_tests());
    let tested: BTreeSet<String> = tests.iter().flat_map(|name| numbers(name)).collect();
    let unknown: Vec<_> = tested.iter().filter(|number| !page.contains_key(*number)).collect();
    assert!(unknown.is_empty(), "tests of rules that docs/rules.md does not have: {unknown:?}");
    let untested: Vec<_> = page.iter().filter(|(n, rule)| rule.built && !tested.contains(*n)).map(|(n, _)| n).collect();
    assert!(untested.is_empty(), "built rules without a test that carries their number: {untested:?}");
}

#[test]
fn every_test_and_file_that_the_page_names_is_there() {
    let tests = numbered_tests();
    for (number, rule) in page() {
        assert_eq!(rule.built, !rule.tests.is_empty(), "{number}: a built rule names its tests, and no other does");
        assert_eq!(rule.built, !rule.files.is_empty(), "{number}: a built rule says where, and no other does");
        for test in &rule.tests {
            assert!(tests.contains(test), "{number}: there is no test {test}");
            assert!(numbers(test).contains(&number), "{number}: {test} carries another number");
        }
        for file in &rule.files {
            assert!(root().join(file).is_file(), "{number}: there is no {file}");
        }
    }
}

#[test]
fn a_name_may_carry_the_numbers_of_two_rules() {
    assert_eq!(numbers("po_18_and_po_19_a_message"), ["PO-18", "PO-19"]);
    assert_eq!(numbers("da_4_the_ranks"), ["DA-4"]);
    assert_eq!(numbers("po_box_4"), Vec::<String>::new());
    assert_eq!(numbers("parts"), Vec::<String>::new());
}
