//! `init`: flags, proposals, refusals, and specs that load.

use crate::support::{Done, done, promptimal, root, skip};
use serde_json::Value;
use std::{fs, path::Path, process::Command};
use tempfile::TempDir;

/// A folder with some of our data in it.
fn folder() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let data = root().join("examples/data");
    for name in [
        "instruct/sentiment.jsonl",
        "instruct/extraction.jsonl",
        "instruct/gsm8k.jsonl",
        "capitals.jsonl",
    ] {
        let from = data.join(name);
        fs::copy(&from, dir.path().join(from.file_name().unwrap())).unwrap();
    }
    dir
}

fn init(dir: &Path, args: &[&str]) -> Done {
    // Tests have no terminal: standard input is not one.
    let mut command = promptimal();
    command.current_dir(dir).arg("init").args(args);
    command.stdin(std::process::Stdio::null());
    done(&mut command)
}

fn dry_run(dir: &Path, spec: &str) -> Value {
    let mut command = promptimal();
    command
        .current_dir(dir)
        .args(["--data-dir", "data", "run", spec, "--dry-run", "--json"]);
    done(&mut command).exits(0).json()
}

#[test]
fn a_rewrite_spec_is_written_and_planned() {
    let dir = folder();
    let args = [
        "--task",
        "rewrite",
        "--data",
        "capitals.jsonl",
        "--calls",
        "700",
        "--yes",
    ];
    let said = init(dir.path(), &args).exits(0);
    said.says(&["10 rows, read as jsonl", "ask.text", "right", "Which city"]);
    assert!(
        said.stdout.contains("promptimal.toml is written"),
        "{}",
        said.stdout
    );
    assert!(
        said.stdout
            .contains("next: promptimal run promptimal.toml --dry-run"),
        "{}",
        said.stdout
    );
    let text = fs::read_to_string(dir.path().join("promptimal.toml")).unwrap();
    for line in [
        "mode = \"rewrite\"",
        "input = \"ask.text\"",
        "choices = \"options\"",
        "answer_is = \"index\"",
        "grader = { kind = \"choice_loglik\" }",
        "model = \"smollm2-135m-instruct\"",
        "calls = 700",
    ] {
        assert!(text.lines().any(|l| l == line), "{line:?} in {text}");
    }
    assert!(
        dry_run(dir.path(), "promptimal.toml")["calls"]
            .as_u64()
            .unwrap()
            > 0
    );
}

#[test]
fn a_spec_for_a_server_needs_no_key_to_be_written() {
    let dir = folder();
    let args = [
        "mine.toml",
        "--task",
        "rewrite",
        "--data",
        "sentiment.jsonl",
        "--url",
        "http://127.0.0.1:9/v1",
        "--model",
        "large",
        "--key-env",
        "NO_SUCH_KEY_HERE",
        "--yes",
        "--json",
    ];
    let done = init(dir.path(), &args).exits(0);
    let told = done.json();
    assert_eq!(told["file"], "mine.toml");
    assert_eq!(
        (&told["mode"], &told["rows"]),
        (&"rewrite".into(), &240.into())
    );
    assert_eq!(told["labels"], serde_json::json!(["positive", "negative"]));
    assert_eq!(told["next"], "promptimal run mine.toml --dry-run");
    let missing = told["missing"][0].as_str().unwrap();
    assert!(missing.contains("NO_SUCH_KEY_HERE"), "{missing}");
    let text = fs::read_to_string(dir.path().join("mine.toml")).unwrap();
    assert!(
        text.contains("api_key_env = \"NO_SUCH_KEY_HERE\""),
        "{text}"
    );
    assert!(text.contains("probe = false"), "{text}");
}

#[test]
fn an_instruct_spec_is_written_and_planned_for_each_kind_of_answer() {
    let dir = folder();
    for (data, task, grader) in [
        (
            "sentiment.jsonl",
            "label",
            "{ kind = \"label\", labels = [\"positive\", \"negative\"] }",
        ),
        ("extraction.jsonl", "json", "{ kind = \"json\" }"),
        ("gsm8k.jsonl", "number", "{ kind = \"numeric\" }"),
        ("capitals.jsonl", "choice", "{ kind = \"choice_loglik\" }"),
    ] {
        // The task is what is proposed for the data.
        let file = format!("{task}.toml");
        let told = init(dir.path(), &[&file, "--data", data, "--yes", "--json"])
            .exits(0)
            .json();
        assert_eq!(
            (&told["mode"], &told["task"]),
            (&"instruct".into(), &task.into())
        );
        let text = fs::read_to_string(dir.path().join(&file)).unwrap();
        let line = format!("grader = {grader}");
        assert!(text.lines().any(|l| l == line), "{line} in {text}");
        assert!(text.contains("[[instruct.start]]"), "{text}");
        dry_run(dir.path(), &file);
    }
}

#[test]
fn an_instruction_and_a_number_of_calls_are_taken_over() {
    let dir = folder();
    let args = [
        "--data",
        "sentiment.jsonl",
        "--start",
        "Is it \"good\"?",
        "--calls",
        "40",
        "--yes",
    ];
    init(dir.path(), &args).exits(0);
    let text = fs::read_to_string(dir.path().join("promptimal.toml")).unwrap();
    assert!(
        text.contains("instruction = \"Is it \\\"good\\\"?\""),
        "{text}"
    );
    assert!(text.contains("calls = 40"), "{text}");
}

#[test]
fn what_exists_is_replaced_only_by_force() {
    let dir = folder();
    fs::write(dir.path().join("promptimal.toml"), "mine").unwrap();
    let args = ["--task", "rewrite", "--data", "sentiment.jsonl", "--yes"];
    init(dir.path(), &args)
        .exits(2)
        .complains(&["promptimal.toml exists", "--force"]);
    let kept = fs::read_to_string(dir.path().join("promptimal.toml")).unwrap();
    assert_eq!(kept, "mine");
    init(dir.path(), &[&args[..], &["--force"]].concat()).exits(0);
    dry_run(dir.path(), "promptimal.toml");
}

#[test]
fn without_a_terminal_a_missing_answer_names_its_flag() {
    let dir = folder();
    let lacking = |args: &[&str], words: &[&str]| init(dir.path(), args).exits(2).says(words);
    lacking(&[], &["--data", "no terminal"]);
    lacking(&["--yes"], &["--data", "nothing to propose"]);
    let data = ["--data", "sentiment.jsonl"];
    let with = |more: &[&'static str]| [&data[..], more].concat();
    lacking(&data, &["--task", "--yes to take", "label"]);
    lacking(&with(&["--task", "rewrite"]), &["--model", "--yes to take"]);
    let server = ["--url", "http://127.0.0.1:9/v1", "--task", "rewrite"];
    lacking(&with(&server), &["--model", "what does the server call"]);
    let local = ["--task", "rewrite", "--model", "smollm2-135m-instruct"];
    lacking(&with(&local), &["--calls", "5000"]);
    assert!(!dir.path().join("promptimal.toml").exists());
}

#[test]
fn what_is_wrong_is_named_with_a_way_out_and_nothing_is_written() {
    let dir = folder();
    fs::write(
        dir.path().join("odd.csv"),
        "foo,bar,baz\nsome text,x,y\nmore text,y,z\n",
    )
    .unwrap();
    fs::write(dir.path().join("bare.csv"), "text\none\ntwo\n").unwrap();
    let refused = |args: &[&str], words: &[&str]| {
        let all = [args, &["--yes"]].concat();
        init(dir.path(), &all).exits(2).says(words);
        assert!(!dir.path().join("promptimal.toml").exists());
    };
    let data = ["--data", "sentiment.jsonl"];
    let with = |more: &[&'static str]| [&data[..], more].concat();
    refused(
        &["--data", "absent.csv"],
        &["absent.csv", "no file or folder"],
    );
    refused(&["--data", "odd.csv"], &["--reference", "bar, baz"]);
    refused(
        &["--data", "bare.csv"],
        &["no right answers", "--reference"],
    );
    refused(&with(&["--input", "txt"]), &["--input txt", "text"]);
    refused(
        &["--data", "gsm8k.jsonl", "--input", "question"],
        &["--input", "gsm8k"],
    );
    refused(
        &with(&["--task", "number"]),
        &["--task number", "--task label"],
    );
    refused(
        &with(&["--task", "rewrite", "--start", "x"]),
        &["--start", "leave it out"],
    );
    refused(
        &with(&["--task", "rewrite", "--model", "no-such-model"]),
        &["no-such-model", "nothing is written"],
    );
    let url = ["--task", "rewrite", "--url", "example.org", "--model", "m"];
    refused(&with(&url), &["base_url", "example.org", "http://"]);
    let pasted = [
        "--task",
        "rewrite",
        "--url",
        "http://127.0.0.1:9/v1",
        "--model",
        "m",
        "--key-env",
        "sk-Abc123",
    ];
    refused(&with(&pasted), &["--key-env", "OPENAI_API_KEY"]);
    let told = init(dir.path(), &[&with(&pasted)[..], &["--yes"]].concat());
    assert!(
        !told.stderr.contains("sk-Abc"),
        "a key is never shown: {}",
        told.stderr
    );
    refused(
        &["nowhere/x.toml", "--data", "sentiment.jsonl"],
        &["nowhere", "make it first"],
    );
    refused(&[".", "--data", "sentiment.jsonl"], &["is a folder"]);
}

#[test]
fn data_elsewhere_are_found_from_wherever_the_spec_is_run() {
    let dir = folder();
    let specs = dir.path().join("specs");
    fs::create_dir(&specs).unwrap();
    let args = [
        "specs/a.toml",
        "--task",
        "rewrite",
        "--data",
        "gsm8k.jsonl",
        "--yes",
    ];
    init(dir.path(), &args).exits(0);
    dry_run(dir.path(), "specs/a.toml");
    dry_run(&specs, "a.toml");
    let beside = [
        "specs/b.toml",
        "--task",
        "rewrite",
        "--data",
        "specs/own.csv",
        "--yes",
    ];
    fs::write(
        specs.join("own.csv"),
        "question,answer\nOne plus one?,2\nTwo plus two?,4\n",
    )
    .unwrap();
    init(dir.path(), &beside).exits(0);
    let text = fs::read_to_string(specs.join("b.toml")).unwrap();
    assert!(text.contains("path = \"own.csv\""), "{text}");
    assert!(text.contains("grader = { kind = \"numeric\" }"), "{text}");
    dry_run(Path::new("/"), specs.join("b.toml").to_str().unwrap());
}

/// Runs `init` in a terminal and types.
fn typed(dir: &Path, keys: &[(&str, &str)], args: &[&str]) -> Done {
    let mut command = Command::new("python3");
    command.arg(root().join("promptimal/tests/terminal.py"));
    command.arg(serde_json::to_string(keys).unwrap());
    command
        .arg(env!("CARGO_BIN_EXE_promptimal"))
        .arg("init")
        .args(args);
    done(command.current_dir(dir).env("TERM", "xterm"))
}

#[test]
fn a_person_is_asked_and_may_correct_what_was_guessed() {
    if Command::new("python3").arg("--version").output().is_err() {
        return skip("there is no python3, which has a terminal to type into");
    }
    let dir = folder();
    let rows = "id,headline,summary,label\n\
        1,Ship sinks,A ship has sunk near the cape.,bad\n2,Cup won,The cup was won again.,good\n\
        3,Fire in port,Two sheds burnt down.,bad\n4,Bridge opens,It is open to all at last.,good\n";
    fs::write(dir.path().join("news.csv"), rows).unwrap();
    let down = "\u{1b}[B";
    // The list is headline, id, label, summary, and what was guessed is under the cursor.
    let (third, last) = (
        format!("{}\r", down.repeat(3)),
        format!("{}\r", down.repeat(5)),
    );
    let keys = [
        ("where are the data?", "nowhere.csv\r"),
        ("no such file", "news.csv\r"),
        ("Is that right?", "n"),
        ("Which field holds the question", third.as_str()),
        ("Which field holds the right answer?", "\r"),
        ("Is that right?", "y"),
        ("what is an answer?", last.as_str()),
        ("which model?", "\r"),
        ("how many calls", "\r"),
    ];
    let done = typed(dir.path(), &keys, &[]).exits(0);
    let text = fs::read_to_string(dir.path().join("promptimal.toml")).unwrap();
    for line in [
        "mode = \"rewrite\"",
        "input = \"summary\"",
        "reference = \"label\"",
        "calls = 5000",
    ] {
        assert!(
            text.lines().any(|l| l == line),
            "{line:?} in {text}\n{}",
            done.stdout
        );
    }
}
