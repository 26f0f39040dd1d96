//! Plain values come back from the other side exactly as they went there.
#![allow(clippy::unwrap_used, reason = "a failure here is a failed test")]

mod common;

use common::open;
use proptest::prelude::*;
use sandbox::{Problem, Sandbox};

const TESTS: &str = "
def same(a, b):
    if type(a) is not type(b):
        return False
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict):
        return same(list(a.items()), list(b.items()))
    if isinstance(a, (set, frozenset)):
        return same(sorted(a, key=repr), sorted(b, key=repr))
    return a == b if isinstance(a, int) else repr(a) == repr(b)

def check(candidate):
    value = VALUE
    assert same(candidate(value), value)
    assert same(candidate(value=value), value)
";

fn comes_back(sandbox: &Sandbox, value: &str) -> Result<(), TestCaseError> {
    let problem = Problem {
        prompt: String::new(),
        entry_point: "back".to_owned(),
        tests: TESTS.replace("VALUE", value),
    };
    let judged = sandbox.judge(&problem, "def back(value): return value");
    let judged = judged.map_err(|error| TestCaseError::fail(format!("{error}: {value}")))?;
    prop_assert!(judged.passed, "{:?}: {}", judged.failure, value);
    Ok(())
}

/// Python's way to write a text of any units, halves of pairs among them.
fn text() -> impl Strategy<Value = String> {
    let unit = prop_oneof![any::<u16>(), 0u16..128, 0xd7f0u16..0xe010];
    prop::collection::vec(unit, 0..6).prop_map(|units| {
        let escaped: String = units.iter().map(|u| format!("\\u{u:04x}")).collect();
        format!("'{escaped}'")
    })
}

fn scalar() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("None".to_owned()),
        any::<bool>().prop_map(|b| if b { "True" } else { "False" }.to_owned()),
        any::<i64>().prop_map(|n| n.to_string()),
        (any::<i8>(), 0u32..300).prop_map(|(n, shift)| format!("({n} << {shift})")),
        any::<f64>().prop_map(|x| format!("float('{x}')")),
        (any::<f64>(), any::<f64>())
            .prop_map(|(x, y)| format!("complex(float('{x}'), float('{y}'))")),
        text(),
        prop::collection::vec(any::<u8>(), 0..6).prop_map(|bytes| format!("bytes({bytes:?})")),
    ]
}

/// What can be a key.
fn key() -> impl Strategy<Value = String> {
    scalar().prop_recursive(2, 6, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3)
                .prop_map(|v| format!("tuple([{}])", v.join(", "))),
            prop::collection::vec(inner, 0..3)
                .prop_map(|v| format!("frozenset([{}])", v.join(", "))),
        ]
    })
}

fn value() -> impl Strategy<Value = String> {
    prop_oneof![scalar(), key()].prop_recursive(4, 24, 4, |inner| {
        let many = prop::collection::vec(inner.clone(), 0..4);
        let keys = prop::collection::vec(key(), 0..4);
        let pairs = prop::collection::vec((key(), inner), 0..4);
        prop_oneof![
            many.clone().prop_map(|v| format!("[{}]", v.join(", "))),
            many.prop_map(|v| format!("tuple([{}])", v.join(", "))),
            keys.prop_map(|v| format!("set([{}])", v.join(", "))),
            pairs.prop_map(|v| {
                let pairs: Vec<String> = v.iter().map(|(k, v)| format!("({k}, {v})")).collect();
                format!("dict([{}])", pairs.join(", "))
            }),
        ]
    })
}

#[test]
fn every_plain_value_comes_back() {
    let sandbox = open();
    let cases = if common::full() { 2000 } else { 150 };
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(cases)
    });
    runner
        .run(&value(), |value| comes_back(&sandbox, &value))
        .unwrap();
}

#[test]
fn the_awkward_ones_come_back() {
    let sandbox = open();
    for value in [
        r"'\ud83d\ude00'",
        r"'\U0001f600\ud83d'",
        "float('nan')",
        "-0.0",
        "[float('inf'), float('-inf'), 5e-324]",
        "2 ** 64",
        "-2 ** 64",
        "10 ** 5000",
        "{True: 1, 2: True, (1, 2): {'i': '1'}}",
        "{'t': [1], 'd': []}",
        "[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]",
        "list(range(100000))",
        "'x' * 1000000",
        "bytearray(b'x')",
    ] {
        comes_back(&sandbox, value).unwrap();
    }
}
