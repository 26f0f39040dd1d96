//! Bad rows and wrong sources: each kind, and the one line that is said about it.
#![allow(clippy::unwrap_used, clippy::print_stdout)] // helpers of tests are tests too

mod common;

use common::{Scratch, reader, source};
use dataset::{AnswerIs, FieldMap, Format, OnBadRow, RowError, Sample, Source, open};
use proptest::prelude::*;

/// What is said about the first bad row of a file.
fn said(format: Format, name: &str, bytes: &[u8]) -> String {
    said_of(source(format, ""), name, bytes)
}

fn said_of(source: Source, name: &str, bytes: &[u8]) -> String {
    let scratch = Scratch::new(&[(name, bytes)]);
    let source = Source {
        path: scratch.path(name),
        ..source
    };
    let mut reader = match open(&source) {
        Ok(reader) => reader,
        Err(error) => return scratch.bare(error),
    };
    let error = reader.find_map(Result::err).expect("a bad row");
    assert!(reader.next().is_none(), "the first error is the last item");
    scratch.bare(error)
}

fn mapped(format: Format, fields: FieldMap) -> Source {
    Source {
        fields: Some(fields),
        ..source(format, "")
    }
}

fn choosing(answer_is: AnswerIs) -> Source {
    let fields = FieldMap {
        choices: vec!["o".into()],
        answer_is,
        ..FieldMap::new("q", "a")
    };
    mapped(Format::Jsonl, fields)
}

#[test]
fn mmlu() {
    let said = |text: &str| said(Format::Mmlu, "x_test.csv", text.as_bytes());
    let good = "\"two\nlines\",1,2,3,4,A\n";
    insta::assert_snapshot!(said(&format!("{good}Q,1,2,3,4,E\n")), @r#"x_test.csv:3: field `answer` is "E": expected a letter, A to D"#);
    insta::assert_snapshot!(said(&format!("{good}\nQ, with a comma,1,2,3,4,A\n")), @r#"x_test.csv:4: found "Q": expected 6 fields (question,A,B,C,D,answer), found 7"#);
    insta::assert_snapshot!(said("question,A,B,C,D,answer\n"), @r#"x_test.csv:1: field `answer` is "answer": expected a letter, A to D; a file with a header is read by format csv"#);
    insta::assert_snapshot!(said("Q,1,,3,4,A\n"), @"x_test.csv:1: field `B` is empty: expected some text");
    insta::assert_snapshot!(said(&format!("{good}\"Q,1,2,3,4,A\nR,1,2,3,4,B\n")), @"x_test.csv:3: a quote is opened in this row and never closed: close it, and double the quotes inside");
}

#[test]
fn json() {
    let said = |text: &str| said(Format::Alpaca, "a.json", text.as_bytes());
    insta::assert_snapshot!(said(r#"[{"instruction": "x"},
 {"prompt": "Sing.", "completion": "La."}]"#), @"a.json:2: field `instruction` is missing: the row has `completion`, `prompt`");
    insta::assert_snapshot!(said(r#"{"instruction": ["x"]}"#), @r#"a.json:1: field `instruction` is "[\"x\"]": expected a text in quotes"#);
    insta::assert_snapshot!(said(r#"{"instruction": " "}"#), @r#"a.json:1: field `instruction` is " ": expected some text"#);
    insta::assert_snapshot!(said(r#"{"instruction": "x", "output": 3}"#), @r#"a.json:1: field `output` is "3": expected a text in quotes"#);
    insta::assert_snapshot!(said("[\n{\"instruction\": \"x\",\n \"output\": nope}\n]"), @r#"a.json:2: found "{\"instruction\": \"x\",\n \"output\": nope}": not valid JSON: expected ident (line 3, column 13)"#);
    insta::assert_snapshot!(said("[\n17\n]"), @r#"a.json:2: found "17": expected a JSON object"#);
    insta::assert_snapshot!(said("[{\"instruction\": \"x\"},\n{\"instruction\": \"y"), @"a.json:2: the file ends inside the row that starts here: it is cut off");
    insta::assert_snapshot!(said("instruction,output\nx,y\n"), @r#"dataset `set`: a.json:1: found "instruction,output": expected JSON: an array of objects, or an object a line"#);
    insta::assert_snapshot!(said("{\n  \"instruction\": \"x\"\n}\n"), @r#"a.json:1: found "{": not valid JSON: EOF while parsing an object (line 1, column 1); a row must be one whole object on a line, or an element of an array"#);
    insta::assert_snapshot!(said(""), @"dataset `set`: a.json: the file is empty");
}

#[test]
fn other_layouts() {
    insta::assert_snapshot!(said(Format::Gsm8k, "g.jsonl", br#"{"question": "How many?", "answer": "ten"}"#), @r#"g.jsonl:1: field `answer` is "ten": expected it to end in `#### ` and a number"#);
    insta::assert_snapshot!(said(Format::Gsm8k, "g.jsonl", br#"{"question": "How many?", "answer": "so\n#### ten"}"#), @r#"g.jsonl:1: field `answer` is "ten": expected a number after `####`, such as 1,234"#);
    insta::assert_snapshot!(said(Format::Humaneval, "h.jsonl", br#"{"prompt": "def f():", "entry_point": "f()", "test": "x"}"#), @r#"h.jsonl:1: field `entry_point` is "f()": expected the name of a function"#);
    insta::assert_snapshot!(said(Format::Humaneval, "h.jsonl", br#"{"prompt": "def f():", "entry_point": "f"}"#), @"h.jsonl:1: field `test` is missing: the row has `entry_point`, `prompt`");
    insta::assert_snapshot!(said(Format::Bbh, "b.json", br#"{"examples": [{"input": "Pick one.", "target": "(A)"}]}"#), @r#"b.json:1: field `input` is "Pick one.": target is (A), so expected it to end in `Options:` and (A) … lines"#);
    insta::assert_snapshot!(said(Format::Bbh, "b.json", br#"{"examples": [{"input": "Pick.\nOptions:\n(A) x\n(B) y", "target": "(D)"}]}"#), @r#"b.json:1: field `target` is "(D)": expected one of the 2 options of the input"#);
    insta::assert_snapshot!(said(Format::Bbh, "b.json", br#"{"rows": []}"#), @"dataset `set`: b.json:1: expected an object with an array `examples`; it has `rows`");
    insta::assert_snapshot!(said(Format::Classification, "c.txt", b"fine\t1\nno label here\n"), @r#"c.txt:2: found "no label here": expected a text, a tab and a label on each line"#);
    insta::assert_snapshot!(said(Format::Classification, "c.txt", b"fine\t \n"), @"c.txt:1: field `label` is empty: expected a label after the tab");
    let labels = vec!["bad".to_owned(), "good".to_owned()];
    let labelled = Source {
        labels,
        ..source(Format::Classification, "")
    };
    insta::assert_snapshot!(said_of(labelled, "c.txt", b"fine\t2\n"), @r#"c.txt:1: field `label` is "2": expected `bad`, `good` or a position from 0 to 1"#);
}

#[test]
fn bytes() {
    insta::assert_snapshot!(said(Format::Classification, "c.txt", b"fine\t1\nca\xe9f\xe9\t0\n"), @r#"c.txt:2: found "ca�f�\t0": not valid UTF-8: save the file as UTF-8"#);
    insta::assert_snapshot!(said(Format::Classification, "c.txt", b"\xff\xfef\0"), @"dataset `set`: c.txt:1: cannot be read: the file is UTF-16: save it as UTF-8");
    insta::assert_snapshot!(said(Format::Classification, "c.txt.gz", b"\x1f\x8b\x08\0\0\0\0\0\0\0\xff"), @"dataset `set`: c.txt.gz:1: cannot be read: corrupt deflate stream");
    let long = [
        b"short\t1\n".to_vec(),
        vec![b'x'; (16 << 20) + 1],
        b"\t1\n".to_vec(),
    ]
    .concat();
    insta::assert_snapshot!(said(Format::Classification, "c.txt", &long), @"c.txt:2: the row is longer than 16 MiB: split or remove it");
    let long = [
        b"Q,1,2,3,4,A\n\"".to_vec(),
        vec![b'x'; (16 << 20) + 1],
        b"\",1,2,3,4,A\n".to_vec(),
    ]
    .concat();
    insta::assert_snapshot!(said(Format::Mmlu, "x.csv", &long), @"x.csv:2: the row is longer than 16 MiB: split or remove it");
    let long = [b"[\"".to_vec(), vec![b'x'; 16 << 20], b"\"]".to_vec()].concat();
    insta::assert_snapshot!(said(Format::Alpaca, "a.json", &long), @"a.json:1: the row is longer than 16 MiB: split or remove it");
}

#[test]
fn mappings() {
    let by = |answer_is, answer: &str| {
        let row = format!(r#"{{"q": "Pick.", "o": ["x", "y"], "a": {answer}}}"#);
        said_of(choosing(answer_is), "r.jsonl", row.as_bytes())
    };
    insta::assert_snapshot!(by(AnswerIs::Index, "2"), @r#"r.jsonl:1: field `a` is "2": expected a position from 0 to 1"#);
    insta::assert_snapshot!(by(AnswerIs::Letter, "\"C\""), @r#"r.jsonl:1: field `a` is "C": expected a letter, A to B"#);
    insta::assert_snapshot!(by(AnswerIs::Text, "\"z\""), @r#"r.jsonl:1: field `a` is "z": expected one of the choices: `x`, `y`"#);
    insta::assert_snapshot!(by(AnswerIs::Text, "null"), @"r.jsonl:1: field `a` is empty: expected the right choice");
    let row = |text: &str| said_of(choosing(AnswerIs::Text), "r.jsonl", text.as_bytes());
    insta::assert_snapshot!(row(r#"{"q": "Pick.", "o": "x", "a": "x"}"#), @r#"r.jsonl:1: field `o` is "x": expected a JSON array of choices"#);
    insta::assert_snapshot!(row(r#"{"q": "Pick.", "o": ["x"], "a": "x"}"#), @"r.jsonl:1: field `o` has 1 of the 2 or more choices expected");
    insta::assert_snapshot!(row(r#"{"q": "Pick.", "o": ["x", "", "y"], "a": "x"}"#), @"r.jsonl:1: field `o` has an empty choice before the last");
    insta::assert_snapshot!(row(r#"{"q": {"en": "Pick."}, "o": ["x", "y"], "a": "x"}"#), @r#"r.jsonl:1: field `q` is "{\"en\":\"Pick.\"}": expected a text, a number or true/false"#);
    insta::assert_snapshot!(row(r#"{"q": "", "o": ["x", "y"], "a": "x"}"#), @"r.jsonl:1: field `q` is empty: expected the question");
    let csv = |text: &str| {
        let source = mapped(Format::Csv, FieldMap::new("question", "answer"));
        said_of(source, "r.csv", text.as_bytes())
    };
    insta::assert_snapshot!(csv("Question,Answer\nx,y\n"), @"dataset `set`: r.csv:1: field `question` is not a column: the header has `Question`, `Answer`");
    insta::assert_snapshot!(csv("question,answer\nx,y\n\"a\nb\",y\nx\n"), @r#"r.csv:5: found "x": expected 2 fields as in the header, found 1"#);
}

#[test]
fn wrong_paths() {
    let row = b"{}";
    let scratch = Scratch::new(&[
        ("set/a.jsonl", row),
        ("set/b.md", row),
        ("parts/dev/x_dev.csv", row),
        ("empty/.keep", b""),
    ]);
    let said =
        |format, path| scratch.bare(open(&source(format, scratch.path(path))).err().unwrap());
    insta::assert_snapshot!(said(Format::Mmlu, "sets"), @"dataset `set`: sets: no such file or folder; FOLDER has `empty`, `parts`, `set`");
    insta::assert_snapshot!(said(Format::Mmlu, "set"), @"dataset `set`: set: the folder has no *.csv (or .gz of it), which format mmlu reads; it has only `a.jsonl`, `b.md`");
    insta::assert_snapshot!(said(Format::Mmlu, "parts"), @"dataset `set`: parts: has no part `test`, only `dev`: set `part` to one of these");
    insta::assert_snapshot!(said(Format::Bbh, "empty"), @"dataset `set`: empty: the folder has no *.json (or .gz of it), which format bbh reads; it has nothing");
    insta::assert_snapshot!(said(Format::Classification, "set/a.jsonl/x"), @"dataset `set`: set/a.jsonl/x: Not a directory (os error 20)");
    let part = Source {
        part: Some("val".into()),
        ..source(Format::Mmlu, scratch.path("parts"))
    };
    insta::assert_snapshot!(scratch.bare(open(&part).err().unwrap()), @"dataset `set`: parts: has no part `val`, only `dev`: set `part` to one of these");
}

#[test]
fn wrong_options() {
    let said = |source: Source| source.check().unwrap_err().to_string();
    insta::assert_snapshot!(said(source(Format::Jsonl, "x")), @"dataset `set`: `fields` is missing: say at least `input`, and `reference` where there is one (format jsonl)");
    insta::assert_snapshot!(said(mapped(Format::Mmlu, FieldMap::new("q", "a"))), @"dataset `set`: `fields` is not for format mmlu, which names its own fields: leave `fields` out, or use format jsonl or csv");
    insta::assert_snapshot!(said(mapped(Format::Csv, FieldMap::new("q", " "))), @"dataset `set`: `fields` has an empty field name: name a key or a column of the file");
    let letter = FieldMap {
        answer_is: AnswerIs::Letter,
        ..FieldMap::new("q", "a")
    };
    insta::assert_snapshot!(said(mapped(Format::Csv, letter)), @r#"dataset `set`: `fields` has answer_is = "letter" but no `choices`: name their fields"#);
    let unanswered = FieldMap {
        choices: vec!["o".into()],
        input: "q".into(),
        ..FieldMap::default()
    };
    insta::assert_snapshot!(said(mapped(Format::Csv, unanswered)), @"dataset `set`: `fields` has `choices` but no `reference`: name the right one's field");
    insta::assert_snapshot!(said(Source { part: Some("dev".into()), ..source(Format::Bbh, "x") }), @"dataset `set`: `part` is only for format mmlu, not bbh: leave it out");
    insta::assert_snapshot!(said(Source { labels: vec!["a".into()], ..source(Format::Bbh, "x") }), @"dataset `set`: `labels` is only for format classification, not bbh: leave it out");
    insta::assert_snapshot!(said(Source { limit: Some(0), ..source(Format::Bbh, "x") }), @"dataset `set`: `limit` is 0: leave it out to read all rows");
    insta::assert_snapshot!(said(Source { sample: Some(Sample { rows: 0, seed: 1 }), ..source(Format::Bbh, "x") }), @"dataset `set`: `sample` is 0: leave it out to read all rows");
    insta::assert_snapshot!(said(Source { limit: Some(1), sample: Some(Sample { rows: 1, seed: 1 }), ..source(Format::Bbh, "x") }), @"dataset `set`: `sample` is given beside `limit`: keep one of the two (`limit` takes the first rows, `sample` draws from all)");
}

#[test]
fn skipping_counts_and_keeps_the_first_few() {
    let lines: String = (0..20)
        .map(|i| {
            if i % 2 == 0 {
                format!("{i}\tx\n")
            } else {
                format!("{i}\n")
            }
        })
        .collect();
    let scratch = Scratch::new(&[("c.txt", lines.as_bytes())]);
    let source = Source {
        on_bad_row: OnBadRow::Skip,
        ..source(Format::Classification, scratch.path("c.txt"))
    };
    let mut reader = reader(&source);
    assert_eq!(reader.by_ref().filter(Result::is_ok).count(), 10);
    assert_eq!((reader.skipped(), reader.summary().rows), (10, 10));
    let kept: Vec<u64> = reader
        .summary()
        .first_skipped
        .iter()
        .map(|e: &RowError| e.line)
        .collect();
    assert_eq!(kept, [2, 4, 6, 8, 10]);
}

#[test]
fn skipping_does_not_hide_a_file_that_is_cut_off() {
    let text = b"[{\"instruction\": \"x\"}, {}, {\"instruction\": \"y";
    let scratch = Scratch::new(&[("a.json", text)]);
    let source = Source {
        on_bad_row: OnBadRow::Skip,
        ..source(Format::Alpaca, scratch.path("a.json"))
    };
    let mut reader = reader(&source);
    let items: Vec<_> = reader.by_ref().collect();
    assert!(items[0].is_ok() && items.len() == 2);
    assert!(items[1].as_ref().unwrap_err().fatal);
    assert_eq!(reader.skipped(), 1);
}

#[test]
fn a_later_file_that_is_wrong_is_named() {
    let scratch = Scratch::new(&[
        ("d/a.jsonl", br#"{"instruction": "x"}"#),
        ("d/b.jsonl", b"nope"),
    ]);
    let mut reader = reader(&source(Format::Alpaca, scratch.path("d")));
    assert!(reader.next().unwrap().is_ok());
    insta::assert_snapshot!(scratch.bare(reader.next().unwrap().unwrap_err()), @r#"d/b.jsonl:1: found "nope": expected JSON: an array of objects, or an object a line"#);
}

/// Pieces of which broken files are made.
fn scraps() -> impl Strategy<Value = Vec<u8>> {
    let pieces: [&[u8]; 16] = [
        b"{",
        b"}",
        b"[",
        b"]",
        b"\"",
        b",",
        b":",
        b"\\",
        b"\n",
        b"\r\n",
        b"\t",
        b"\xff",
        b"\"examples\"",
        b"{\"instruction\": \"x\"}",
        b"1",
        b"\x1f\x8b",
    ];
    let piece = prop::sample::select(pieces.to_vec());
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn no_bytes_make_a_reader_panic_or_run_on(bytes in scraps()) {
        let scratch = Scratch::new(&[("x", &bytes)]);
        for format in Format::ALL {
            let fields = matches!(format, Format::Jsonl | Format::Csv).then(|| FieldMap::new("1", "1"));
            let source = Source { fields, on_bad_row: OnBadRow::Skip, ..source(format, scratch.path("x")) };
            let Ok(mut reader) = open(&source) else { continue };
            let items: Vec<_> = reader.by_ref().take(bytes.len() + 2).collect();
            prop_assert!(items.len() as u64 + reader.skipped() <= bytes.len() as u64 + 1);
            prop_assert!(reader.next().is_none());
            let good = items.iter().filter(|item| item.is_ok()).count();
            prop_assert!(items.len() - good <= 1, "only a fatal error is said, once");
        }
    }
}
