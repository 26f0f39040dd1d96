use super::*;
use domain::example::Reference;
use proptest::prelude::*;

const ORDER: &str =
    r#"{"name": "Ada Brown", "quantity": 3, "tags": ["gift", "fast"], "date": null}"#;

fn input(reference: &str) -> GradeInput {
    GradeInput {
        input: "Read the order.".into(),
        choices: vec![],
        reference: Reference::Text {
            text: reference.into(),
        },
    }
}

fn say(reply: &str) -> String {
    let grade = grade(&input(ORDER), &[], false, reply).unwrap();
    format!("{} {}", grade.value, grade.feedback)
}

#[test]
fn the_share_of_equal_fields_is_the_grade() {
    insta::assert_snapshot!(say(ORDER), @"1 4 of 4 fields are right");
    insta::assert_snapshot!(say(r#"{"quantity": 3.0, "name": "ada brown.", "tags": ["Fast", "gift"]}"#), @"1 4 of 4 fields are right");
    insta::assert_snapshot!(say(r#"{"name": "Bo", "quantity": "3", "date": "2026-05-04"}"#), @"0 0 of 4 fields are right; wrong: date, name, quantity (is a text, and a number is wanted); missing: tags");
    insta::assert_snapshot!(say(r#"{"name": "Ada Brown", "quantity": 3, "tags": ["gift", "gift"], "colour": 1}"#), @"0.75 3 of 4 fields are right; wrong: tags; not asked for: colour");
    insta::assert_snapshot!(say("{}"), @"0.25 1 of 4 fields are right; missing: name, quantity, tags");
}

#[test]
fn the_first_object_is_found_in_talk_and_fences() {
    let replies = [
        "Here you are:\n```json\n{\"quantity\": 3}\n```\nAnything else?",
        "The set {x} has {\"quantity\": 3} and {\"quantity\": 4}",
        "<think>{\"quantity\": 9}</think>{\"quantity\":3}",
        "[{\"quantity\": 3}]",
        "{ {\"quantity\": 3}",
    ];
    for reply in replies {
        let grade = grade(&input(ORDER), &["quantity".into()], false, reply).unwrap();
        assert_eq!(grade.value, 1.0, "{reply}: {}", grade.feedback);
    }
    for reply in ["", "{", "{\"quantity\": 3", "3", "{quantity: 3}", "[3]"] {
        insta::allow_duplicates! {
            insta::assert_snapshot!(say(reply), @"0 no JSON object was found in the reply");
        }
    }
}

#[test]
fn only_json_means_nothing_else() {
    let say = |reply| {
        let grade = grade(&input(ORDER), &["quantity".into()], true, reply).unwrap();
        format!("{} {}", grade.value, grade.feedback)
    };
    insta::assert_snapshot!(say(" {\"quantity\": 3}\n"), @"1 1 of 1 fields are right");
    insta::assert_snapshot!(say("```json\n{\"quantity\": 3}\n```"), @"0 the reply is not one JSON object and nothing else");
    insta::assert_snapshot!(say("{\"quantity\": 3} {}"), @"0 the reply is not one JSON object and nothing else");
}

#[test]
fn values_are_compared_by_what_they_mean() {
    let same = |a: Value, b: Value| canonical(&a) == canonical(&b);
    use serde_json::json;
    for (a, b) in [
        (json!(3), json!(3.0)),
        (json!(0.1), json!(1e-1)),
        (json!(-0.0), json!(0)),
        (json!("Don’t  go!"), json!("dont go")),
        (json!([1, "A", [2, 3]]), json!([[3, 2], "a", 1.0])),
        (json!({"a": 1, "b": null}), json!({"a": 1})),
    ] {
        assert!(same(a.clone(), b.clone()), "{a} {b}");
    }
    for (a, b) in [
        (json!(3), json!("3")),
        (json!("-3"), json!("3")),
        (json!("?"), json!("!")),
        (json!([1, 1]), json!([1])),
        (json!(["a", "b"]), json!(["a, b"])),
        (json!("[]"), json!([])),
        (
            json!(9_007_199_254_740_993_u64),
            json!(9_007_199_254_740_992_u64),
        ),
        (json!(true), json!("true")),
        (json!({"a": 1}), json!({"A": 1})),
    ] {
        assert!(!same(a.clone(), b.clone()), "{a} {b}");
    }
}

#[test]
fn a_reference_without_the_fields_cannot_be_graded() {
    for (reference, fields) in [
        ("plain text", vec![]),
        ("[1]", vec![]),
        ("{}", vec![]),
        (ORDER, vec!["colour".to_owned()]),
    ] {
        let error = grade(&input(reference), &fields, false, "{}").unwrap_err();
        assert!(!error.retryable, "{reference}");
    }
    let none = GradeInput {
        reference: Reference::None,
        ..input("")
    };
    assert!(grade(&none, &[], false, "{}").is_err());
}

#[test]
fn feedback_is_one_line_of_a_bounded_length() {
    let many: Object = (0..100)
        .map(|i| (format!("{i}\n{}", "x".repeat(500)), Value::Null))
        .collect();
    let said = say(&Value::Object(many).to_string());
    assert!(said.len() < 600 && !said.contains('\n'), "{said}");
    assert!(said.contains("and 94 more"), "{said}");
}

#[test]
fn a_reply_of_braces_takes_no_time() {
    assert!(say(&"{\"a\":".repeat(50_000)).starts_with("0 no JSON"));
    assert!(say(&"{".repeat(1_000_000)).starts_with("0 no JSON"));
}

/// A value of a few levels, without null: null and absent are one.
fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-1e9..1e9f64).prop_map(Value::from),
        "\\PC{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[a-z]{1,4}", inner, 0..4)
                .prop_map(|entries| Value::Object(entries.into_iter().collect())),
        ]
    })
}

/// JSON with the entries of objects and the elements of lists the other way round, and space wherever it may stand.
fn reversed(value: &Value) -> String {
    match value {
        Value::Array(items) => {
            let items: Vec<String> = items.iter().rev().map(reversed).collect();
            format!("[ {} ]", items.join("\n,\t"))
        }
        Value::Object(entries) => {
            let entry = |(k, v): (&String, &Value)| {
                format!("{} : {}", Value::from(k.as_str()), reversed(v))
            };
            let mut entries: Vec<String> = entries.iter().map(entry).collect();
            entries.reverse();
            format!("{{\n{}\r\n}}", entries.join(" , "))
        }
        other => other.to_string(),
    }
}

proptest! {
    #[test]
    fn any_text_is_graded(reply in "\\PC{0,80}", braces in r#"[{}\[\]":,0-9a\\ ]{0,60}"#, only: bool) {
        for reply in [reply, braces] {
            let grade = grade(&input(ORDER), &[], only, &reply).unwrap();
            prop_assert!((0.0..=1.0).contains(&grade.value));
        }
    }

    #[test]
    fn order_and_space_change_nothing(
        entries in prop::collection::btree_map("[a-z]{1,6}", any_value(), 1..5),
        before in "[^{}]{0,20}",
        after in "\\PC{0,20}",
    ) {
        let object = Value::Object(entries.into_iter().collect());
        let input = input(&object.to_string());
        let whole = grade(&input, &[], true, &reversed(&object)).unwrap();
        prop_assert_eq!(whole.value, 1.0, "{}", whole.feedback);
        let within = grade(&input, &[], false, &format!("{before}{}{after}", reversed(&object))).unwrap();
        prop_assert_eq!(within.value, 1.0, "{}", within.feedback);
    }

    #[test]
    fn feedback_never_says_a_value(value in "[a-z]{8,12}", other in "[A-Z]{3}") {
        let reference = serde_json::json!({ "one": value, "two": 123_456 });
        let reply = serde_json::json!({ "one": other, "three": 7 });
        let grade = grade(&input(&reference.to_string()), &[], false, &reply.to_string()).unwrap();
        prop_assert!(!grade.feedback.contains(&value) && !grade.feedback.contains("123456"));
    }
}
