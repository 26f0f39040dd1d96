//! Every reader on the data that we wrote, and what the formats share.
#![allow(clippy::unwrap_used, clippy::print_stdout)] // helpers of tests are tests too

mod common;

use common::{Scratch, ours, reader, rows, source};
use dataset::{AnswerIs, FieldMap, Format, OnBadRow, Source, columns, peek};
use domain::example::Reference;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;

fn mmlu() -> Source {
    source(Format::Mmlu, ours("quickstart/mmlu"))
}

fn capitals() -> Source {
    let fields = FieldMap {
        choices: vec!["options".into()],
        group: Some("meta.topic".into()),
        answer_is: AnswerIs::Index,
        ..FieldMap::new("ask.text", "right")
    };
    Source {
        fields: Some(fields),
        ..source(Format::Jsonl, ours("capitals.jsonl"))
    }
}

fn trivia() -> Source {
    let fields = FieldMap {
        choices: ["a", "b", "c", "d"].map(|c| format!("option_{c}")).to_vec(),
        group: Some("topic".into()),
        answer_is: AnswerIs::Letter,
        ..FieldMap::new("question", "correct")
    };
    Source {
        fields: Some(fields),
        ..source(Format::Csv, ours("trivia.csv"))
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gz.write_all(bytes).unwrap();
    gz.finish().unwrap()
}

#[test]
fn the_quickstart_questions_are_sixty_and_balanced() {
    let rows = rows(&mmlu());
    let (mut groups, mut letters) = (BTreeMap::new(), [0; 4]);
    for row in &rows {
        let Reference::Choice { index } = row.example.reference else {
            panic!("{row:?}")
        };
        letters[index] += 1;
        *groups
            .entry(row.example.group.clone().unwrap())
            .or_insert(0) += 1;
        let different: BTreeSet<_> = row.example.choices.iter().collect();
        assert_eq!(different.len(), 4, "{row:?}");
    }
    assert_eq!(letters, [15; 4]);
    assert_eq!(groups.into_values().collect::<Vec<_>>(), [10; 6]);
    let ids: BTreeSet<_> = rows.iter().map(|row| row.example.id()).collect();
    assert_eq!(ids.len(), 60);
    // Files come in the order of their names, rows in the order of the file.
    assert!(
        rows.windows(2)
            .all(|w| (&w[0].file, w[0].line) < (&w[1].file, w[1].line))
    );
}

#[test]
fn quotes_commas_and_newlines_in_fields_are_read() {
    let rows = rows(&mmlu());
    let has = |f: fn(&str) -> bool| rows.iter().filter(|row| f(&row.example.input)).count();
    assert!(has(|text| text.contains('"')) >= 5);
    assert!(has(|text| text.contains('\n')) >= 5);
    assert!(
        rows.iter()
            .any(|row| row.example.choices.iter().any(|c| c.contains(',')))
    );
    // The record after one of several lines is found at its own line.
    let pulse = rows
        .iter()
        .position(|r| r.example.input.starts_with("A runner's pulse"))
        .unwrap();
    assert_eq!(rows[pulse + 1].line, rows[pulse].line + 4);
}

#[test]
fn the_quickstart_instructions_are_forty() {
    let rows = rows(&source(Format::Alpaca, ours("quickstart/alpaca.json")));
    assert_eq!(rows.len(), 40);
    assert_eq!(
        rows.iter().filter(|r| r.example.context.is_some()).count(),
        10
    );
    for row in &rows {
        let words = row
            .example
            .reference_text()
            .unwrap()
            .split_whitespace()
            .count();
        assert!((8..=35).contains(&words), "{row:?}");
    }
    assert_eq!((rows[0].line, rows[1].line), (2, 7));
}

#[test]
fn alpaca_may_be_json_lines_and_lack_an_output() {
    let lines = concat!(
        r#"{"instruction": "Sing.", "input": "", "output": ""}"#,
        "\n\n",
        r#"{"instruction": "Add.", "input": "1 and 2", "output": "3"}"#,
        "\n",
        r#"{"instruction": "Hum."}"#,
    );
    let scratch = Scratch::new(&[("a.jsonl", lines.as_bytes())]);
    let mut reader = reader(&source(Format::Alpaca, scratch.path("a.jsonl")));
    let rows: Vec<_> = reader.by_ref().map(Result::unwrap).collect();
    assert_eq!(rows.iter().map(|r| r.line).collect::<Vec<_>>(), [1, 3, 4]);
    assert_eq!(rows[0].example.reference, Reference::None);
    assert_eq!(rows[1].example.context.as_deref(), Some("1 and 2"));
    assert_eq!(
        (reader.summary().rows, reader.summary().without_reference),
        (3, 2)
    );
}

#[test]
fn classification_takes_labels_by_name_or_position() {
    let named = rows(&source(Format::Classification, ours("sentiment.tsv")));
    assert_eq!(named.len(), 20);
    assert_eq!(named[1].example.reference_text(), Some("negative"));
    let scratch = Scratch::new(&[("a.txt", b"fine\t1\nawful\twith a tab\t0\nso so\tnegative\n")]);
    let labels = vec!["negative".to_owned(), "positive".to_owned()];
    let named = rows(&Source {
        labels,
        ..source(Format::Classification, scratch.path("a.txt"))
    });
    let texts: Vec<_> = named
        .iter()
        .map(|r| r.example.reference_text().unwrap())
        .collect();
    assert_eq!(texts, ["positive", "negative", "negative"]);
    assert_eq!(named[1].example.input, "awful\twith a tab");
}

#[test]
fn nested_json_fields_are_mapped() {
    let rows = rows(&capitals());
    assert_eq!(rows.len(), 10);
    let kenya = &rows[2].example;
    assert_eq!(kenya.input, "Which city is the capital of Kenya?");
    assert_eq!(kenya.reference_text(), Some("Nairobi"));
    assert_eq!(kenya.group.as_deref(), Some("Africa"));
}

#[test]
fn csv_columns_are_mapped_and_blank_last_choices_dropped() {
    let rows = rows(&trivia());
    assert_eq!(rows.len(), 10);
    assert_eq!(rows[0].example.choices, ["six", "eight", "ten"]);
    assert_eq!(rows[6].example.choices, ["honey", "silk"]);
    assert_eq!(rows[3].example.input, "Complete the series:\n2, 4, 8, …");
    assert_eq!((rows[3].line, rows[4].line), (5, 7));
}

#[test]
fn text_references_may_be_null_and_context_is_kept_apart() {
    let fields = FieldMap {
        context: Some("product".into()),
        group: Some("team".into()),
        ..FieldMap::new("ticket", "reply")
    };
    let rows = rows(&Source {
        fields: Some(fields),
        ..source(Format::Jsonl, ours("support.jsonl"))
    });
    assert_eq!(rows.len(), 8);
    assert!(
        rows[0]
            .example
            .context
            .as_deref()
            .unwrap()
            .contains("\"Security\"")
    );
    assert_eq!(
        (&rows[7].example.context, &rows[7].example.reference),
        (&None, &Reference::None)
    );
}

#[test]
fn a_reference_may_be_a_json_object() {
    let of = |right: &str| {
        let row = format!(r#"{{"text": "Two pens, please.", "right": {right}}}"#);
        let scratch = Scratch::new(&[("a.jsonl", row.as_bytes())]);
        let source = Source {
            fields: Some(FieldMap::new("text", "right")),
            ..source(Format::Jsonl, scratch.path("a.jsonl"))
        };
        rows(&source)[0].example.clone()
    };
    let written = of(r#"{"item": "pen", "more": {"n": 2, "a": [1]}}"#);
    let text = r#"{"item":"pen","more":{"a":[1],"n":2}}"#;
    assert_eq!(written.reference_text(), Some(text));
    let other = of(r#"{ "more": {"a": [1], "n": 2}, "item": "pen" }"#);
    assert_eq!(written.id(), other.id());
}

#[test]
fn choices_may_be_named_by_their_text_and_held_in_one_csv_cell() {
    let text = b"q,o,right\nPick,\"[\"\"a\"\", 2]\",2\n";
    let scratch = Scratch::new(&[("a.csv", text)]);
    let fields = FieldMap {
        choices: vec!["o".into()],
        ..FieldMap::new("q", "right")
    };
    let rows = rows(&Source {
        fields: Some(fields),
        ..source(Format::Csv, scratch.path("a.csv"))
    });
    assert_eq!(rows[0].example.choices, ["a", "2"]);
    assert_eq!(rows[0].example.reference, Reference::Choice { index: 1 });
}

#[test]
fn humaneval_keeps_programs_as_they_are() {
    let row = serde_json::json!({"task_id": "x/0", "prompt": "def f():\n    \"\"\"One.\"\"\"\n",
        "entry_point": "f", "test": "def check(f):\n    assert f() == 1\n", "canonical_solution": ""});
    let scratch = Scratch::new(&[("h.jsonl", row.to_string().as_bytes())]);
    let rows = rows(&source(Format::Humaneval, scratch.path("h.jsonl")));
    assert!(rows[0].example.input.ends_with("\"\"\"\n"));
    let Reference::Code { entry_point, tests } = &rows[0].example.reference else {
        panic!()
    };
    assert_eq!((entry_point.as_str(), tests.lines().count()), ("f", 2));
}

#[test]
fn gsm8k_answers_are_bare_numbers() {
    let row = r#"{"question": "How many?", "answer": "Many.\n#### 1,234"}"#;
    let scratch = Scratch::new(&[("g.jsonl", row.as_bytes())]);
    let rows = rows(&source(Format::Gsm8k, scratch.path("g.jsonl")));
    assert_eq!(rows[0].example.reference_text(), Some("1234"));
}

#[test]
fn bbh_options_become_choices_only_for_lettered_targets() {
    let text = r#"{"canary": "none", "examples": [
        {"input": "Pick one.\nOptions:\n(A) red\n(B) green", "target": "(B)"},
        {"input": "Is it so?\nOptions:\n- Yes\n- No", "target": "No"}]}"#;
    let scratch = Scratch::new(&[("bbh/colours.json", text.as_bytes())]);
    let rows = rows(&source(Format::Bbh, scratch.path("bbh")));
    assert_eq!(rows[0].example.input, "Pick one.");
    assert_eq!(rows[0].example.reference_text(), Some("green"));
    assert_eq!(rows[0].example.group.as_deref(), Some("colours"));
    assert_eq!((rows[0].line, rows[1].line), (2, 3));
    assert!(rows[1].example.choices.is_empty() && rows[1].example.input.contains("Options"));
    assert_eq!(rows[1].example.reference_text(), Some("No"));
}

#[test]
fn gzip_and_byte_order_marks_change_nothing() {
    for plain in [
        mmlu(),
        capitals(),
        trivia(),
        source(Format::Alpaca, ours("quickstart/alpaca.json")),
    ] {
        let want: Vec<_> = rows(&plain);
        let file = want[0].file.clone();
        let (name, bytes) = (
            file.file_name().unwrap().to_str().unwrap(),
            std::fs::read(&file).unwrap(),
        );
        let marked = [b"\xef\xbb\xbf", &bytes[..]].concat();
        let scratch = Scratch::new(&[(&format!("{name}.gz"), &gzip(&marked))]);
        let got = rows(&Source {
            path: scratch.path(&format!("{name}.gz")),
            ..plain
        });
        let want = want
            .iter()
            .filter(|row| row.file == file)
            .map(|row| (&row.example, row.line));
        assert!(
            got.iter().map(|row| (&row.example, row.line)).eq(want),
            "{name}"
        );
    }
}

#[test]
fn mmlu_parts_are_folders_or_endings() {
    let row = |q: &str| format!("{q},1,2,3,4,A\n").into_bytes();
    let (a, b, c) = (row("a"), row("b"), row("c"));
    let inputs = |scratch: &Scratch, part: Option<&str>| {
        let source = source(Format::Mmlu, scratch.path(""));
        let rows = rows(&Source {
            part: part.map(str::to_owned),
            ..source
        });
        rows.into_iter()
            .map(|r| r.example.input + &r.example.group.unwrap())
            .collect::<Vec<_>>()
    };
    let folders = Scratch::new(&[("test/x_test.csv", &a), ("dev/x_dev.csv", &b)]);
    assert_eq!(inputs(&folders, None), ["ax"]);
    assert_eq!(inputs(&folders, Some("dev")), ["bx"]);
    let flat = Scratch::new(&[("y_test.csv", &b), ("x_test.csv", &a), ("x_dev.csv", &c)]);
    assert_eq!(inputs(&flat, None), ["ax", "by"]);
    assert_eq!(inputs(&flat, Some("dev")), ["cx"]);
    let bare = Scratch::new(&[("y.csv", &b), ("x.csv", &a)]);
    assert_eq!(inputs(&bare, None), ["ax", "by"]);
}

#[test]
fn a_limit_counts_good_rows() {
    let scratch = Scratch::new(&[("a.txt", b"bad\none\t1\nbad\ntwo\t2\nthree\t3\n")]);
    let source = Source {
        on_bad_row: OnBadRow::Skip,
        limit: Some(2),
        ..source(Format::Classification, scratch.path("a.txt"))
    };
    let mut reader = reader(&source);
    let inputs: Vec<_> = reader
        .by_ref()
        .map(|row| row.unwrap().example.input)
        .collect();
    assert_eq!(inputs, ["one", "two"]);
    assert_eq!(reader.skipped(), 2);
    assert!(reader.next().is_none());
}

#[test]
fn a_limit_is_shared_by_the_files_of_a_folder() {
    let limited = |limit| {
        let rows = rows(&Source {
            limit: Some(limit),
            ..mmlu()
        });
        let groups = rows.iter().map(|row| row.example.group.clone().unwrap());
        let mut counts = BTreeMap::new();
        groups.for_each(|group| *counts.entry(group).or_insert(0) += 1);
        counts.into_values().collect::<Vec<_>>()
    };
    assert_eq!(limited(12), [2; 6]);
    assert_eq!(limited(8), [2, 2, 1, 1, 1, 1]);
    assert_eq!(limited(2), [1, 1]);
    assert_eq!(limited(100), [10; 6]);
    // What a short file cannot give, the later ones give.
    let lines = |n| "x\ty\n".repeat(n).into_bytes();
    let scratch = Scratch::new(&[("d/a.txt", &lines(1)), ("d/b.txt", &lines(9))]);
    let source = source(Format::Classification, scratch.path("d"));
    assert_eq!(
        rows(&Source {
            limit: Some(6),
            ..source
        })
        .len(),
        6
    );
}

#[test]
fn the_first_rows_are_seen_without_a_mapping() {
    let keys = |path: &std::path::Path| {
        let rows = peek(path, 3).unwrap();
        let keys = rows[0].keys().cloned().collect::<Vec<_>>().join(" ");
        (rows.len(), keys)
    };
    let three = |keys: &str| (3, keys.to_owned());
    let capitals = keys(&ours("capitals.jsonl"));
    assert_eq!(capitals, three("ask id meta options right"));
    let alpaca = keys(&ours("quickstart/alpaca.json"));
    assert_eq!(alpaca, three("input instruction output"));
    let trivia = peek(&ours("trivia.csv"), 2).unwrap();
    assert_eq!(trivia[0]["correct"], "B");
    let files: [(&str, &[u8]); 4] = [
        ("a.jsonl", b"3\nbad\n{\"a\": 1}\n"),
        ("b.csv.gz", &gzip(b"x,y\n1\n1,2\n")),
        ("c.txt", b"plain text\n"),
        ("d.json", b""),
    ];
    let scratch = Scratch::new(&files);
    let of = |name: &str| peek(&scratch.path(name), 5).map(|rows| format!("{rows:?}"));
    assert!(
        of("a.jsonl").is_err(),
        "what begins with a number is no data"
    );
    assert_eq!(
        of("b.csv.gz").unwrap(),
        r#"[{"x": String("1"), "y": String("2")}]"#
    );
    assert!(of("c.txt").unwrap_err().to_string().contains("c.txt:1"));
    assert_eq!(of("d.json").unwrap(), "[]");
}

#[test]
fn a_csv_file_says_its_columns() {
    let files: [(&str, &[u8]); 3] = [
        ("a.csv", b"\xef\xbb\xbfweak ,\"the, better\"\n1,2\n"),
        ("b.csv", b""),
        ("c.csv", b"\"open\n"),
    ];
    let scratch = Scratch::new(&files);
    let of = |name: &str| columns(&scratch.path(name)).map_err(|e| e.to_string());
    assert_eq!(of("a.csv").unwrap(), ["weak", "the, better"]);
    assert_eq!(of("b.csv").unwrap(), Vec::<String>::new());
    assert!(of("c.csv").unwrap_err().contains("c.csv:1"));
    assert!(of("absent.csv").unwrap_err().contains("absent.csv"));
}
