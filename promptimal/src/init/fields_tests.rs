use super::*;
use dataset::peek;
use serde_json::json;
use std::path::Path;

fn ours(name: &str, task: Option<Task>) -> String {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/data");
    let rows = peek(&data.join(name), 50).unwrap();
    let given = Given {
        task,
        ..Given::default()
    };
    said(&rows, given)
}

fn said(rows: &[Row], given: Given<'_>) -> String {
    match guess(rows, given) {
        Ok(map) => format!(
            "{} -> {} {:?} {}",
            map.input,
            map.reference.unwrap_or_default(),
            map.choices,
            map.answer_is.name()
        ),
        Err(unclear) => format!("{} of {:?}", unclear.flag, unclear.fields),
    }
}

fn rows(values: &[Value]) -> Vec<Row> {
    values
        .iter()
        .filter_map(Value::as_object)
        .cloned()
        .collect()
}

#[test]
fn our_own_data_are_mapped_as_their_specs_do() {
    assert_eq!(
        ours("instruct/sentiment.jsonl", None),
        "text -> label [] text"
    );
    assert_eq!(
        ours("instruct/news.jsonl", None),
        "headline -> topic [] text"
    );
    assert_eq!(
        ours("instruct/extraction.jsonl", None),
        "text -> order [] text"
    );
    assert_eq!(
        ours("capitals.jsonl", None),
        "ask.text -> right [\"options\"] index"
    );
    assert_eq!(
        ours("trivia.csv", None),
        "question -> correct [\"option_a\", \"option_b\", \"option_c\", \"option_d\"] letter"
    );
    assert_eq!(ours("support.jsonl", None), "ticket -> reply [] text");
}

#[test]
fn what_a_task_wants_decides_between_fields() {
    let both = rows(&[
        json!({"text": "a b", "label": "x", "value": 3}),
        json!({"text": "c d", "label": "y", "value": 4}),
    ]);
    let given = |task| Given {
        task,
        ..Given::default()
    };
    assert_eq!(said(&both, given(None)), "text -> label [] text");
    assert_eq!(
        said(&both, given(Some(Task::Number))),
        "text -> value [] text"
    );
    // What nothing fits is guessed by names, and found wanting later.
    assert_eq!(
        said(&both, given(Some(Task::Json))),
        "text -> label [] text"
    );
}

#[test]
fn what_is_unclear_is_asked() {
    let odd = rows(&[json!({"id": 1, "foo": "long text here", "bar": "x", "baz": "y"})]);
    assert_eq!(
        said(&odd, Given::default()),
        "--reference of [\"bar\", \"baz\"]"
    );
    let given = Given {
        reference: Some("bar"),
        ..Given::default()
    };
    assert_eq!(said(&odd, given), "foo -> bar [] text");
    let numbers = rows(&[json!({"x": 1, "y": 2})]);
    assert_eq!(
        said(&numbers, Given::default()),
        "--input of [\"x\", \"y\"]"
    );
    let bare = rows(&[json!({"text": "only this"})]);
    assert_eq!(said(&bare, Given::default()), "text ->  [] text");
    assert_eq!(
        names(&rows(&[json!({"a": {"b": 1}, "c": 2})])),
        ["a", "c", "a.b"]
    );
}
