use super::*;
use crate::init::survey::Kind;
use dataset::Format;
use proptest::prelude::*;
use spec::{Environment, Found, Purpose};
use std::path::{Path, PathBuf};

/// Where every file and every variable is.
struct Rich;

impl Environment for Rich {
    fn is_set(&self, _: &str) -> bool {
        true
    }

    fn find(&self, _: &Path) -> Found {
        Found::Readable { by_everyone: true }
    }

    fn current_dir(&self) -> PathBuf {
        PathBuf::from("/home/ada")
    }
}

fn plan(task: Task, kind: Kind) -> Plan {
    Plan {
        name: "mails".into(),
        task,
        kind,
        data: Data {
            path: "mails.jsonl".into(),
            format: Format::Jsonl,
            fields: Some(FieldMap::new("text", "label")),
            labels: vec!["spam".into(), "fine".into()],
            objects: vec!["item".into(), "n".into()],
            longest: 30,
        },
        model: Who::Local {
            model: "smollm2-135m-instruct".into(),
        },
        calls: 300,
        start: first_instruction(
            kind,
            &["spam".into(), "fine".into()],
            &["item".into(), "n".into()],
        ),
    }
}

fn server() -> Who {
    Who::Server {
        url: "https://api.example.org/v1".into(),
        model: "large".into(),
        key_env: Some("EXAMPLE_KEY".into()),
    }
}

fn load(text: &str) -> spec::Loaded {
    let loaded = spec::load_text(
        text,
        Path::new("/home/ada/s.toml"),
        &[],
        Purpose::Run,
        &Rich,
    );
    loaded.unwrap_or_else(|e| panic!("{e}\n{text}"))
}

#[test]
fn an_instruct_spec_is_commented_and_whole() {
    insta::assert_snapshot!(plan(Task::Label, Kind::Label).spec("s.toml").unwrap(), @r##"
    # What is looked for: one good instruction for all of the data.
    # Every key is explained in docs/spec.md; `promptimal spec` prints them all.
    #
    #   promptimal run s.toml --dry-run   # how many calls it takes; none is made
    #   promptimal run s.toml

    [run]
    name = "mails"
    mode = "instruct"

    [[datasets]]
    name = "mails"
    format = "jsonl"
    path = "mails.jsonl"
    # Right: the answer names exactly one of the labels, the right one.
    grader = { kind = "label", labels = ["spam", "fine"] }
    [datasets.fields]
    input = "text"
    reference = "label"

    # Shares of the data; near-duplicates are on one side. test is sealed until the one last evaluation.
    [splits]
    train = 0.5
    validation = 0.2
    test = 0.3

    # The model whose answers are graded.
    [models.target]
    kind = "local"
    model = "smollm2-135m-instruct"
    [models.target.sampling]
    max_tokens = 16 # of one answer
    temperature = 0.0

    # The same model writes the instructions, less predictably. With a kind and a model of its own here, another one does.
    [models.proposer.sampling]
    max_tokens = 250
    temperature = 0.8

    [search]
    max_chars = 800 # the longest instruction

    [instruct]
    # Who writes instructions reads this: say in your own words what the data are and what is wanted.
    description = "Each text is to be given exactly one of these labels: spam, fine."
    # How an instruction and an input become a message.
    user = "{instruction}\n\n{input}"
    calls = 300 # of the target, during the search
    rounds = 6
    candidates = 4 # new prompts in each round
    shots = 4 # most demonstrations in one prompt
    # Stays in every instruction: without it answers cannot be graded.
    must_keep = ["spam", "fine"]

    # Where the search begins; give as many as you like.
    [[instruct.start]]
    instruction = "Answer with one of these labels and nothing else: spam, fine."
    "##);
}

#[test]
fn a_rewrite_spec_loads_whatever_is_graded() {
    for kind in [
        Kind::Label,
        Kind::Number,
        Kind::Text,
        Kind::Object,
        Kind::Open,
    ] {
        let loaded = load(&plan(Task::Rewrite, kind).spec("s.toml").unwrap());
        assert!(loaded.warnings.is_empty(), "{kind:?} {:?}", loaded.warnings);
        assert_eq!(loaded.spec.search.hardest, 12);
    }
    let behind = Plan {
        model: server(),
        ..plan(Task::Rewrite, Kind::Label)
    };
    let loaded = load(&behind.spec("s.toml").unwrap());
    assert_eq!(loaded.spec.budget.limits().calls, Some(300));
    assert_eq!(loaded.spec.datasets[0].grader().unwrap().name(), "label");
}

#[test]
fn an_instruct_spec_loads_whatever_is_graded() {
    for (task, kind) in [
        (Task::Label, Kind::Label),
        (Task::Number, Kind::Number),
        (Task::Text, Kind::Text),
        (Task::Json, Kind::Object),
    ] {
        let loaded = load(&plan(task, kind).spec("s.toml").unwrap());
        assert!(loaded.warnings.is_empty(), "{kind:?} {:?}", loaded.warnings);
    }
}

#[test]
fn open_answers_need_log_likelihoods() {
    let behind = Plan {
        model: server(),
        ..plan(Task::Rewrite, Kind::Open)
    };
    let refused = behind.spec("s.toml").unwrap_err().to_string();
    assert!(refused.contains("take a local model"), "{refused}");
}

#[test]
fn words_that_answers_need_are_kept_where_the_start_has_them() {
    let with = plan(Task::Label, Kind::Label);
    assert!(
        with.spec("s.toml")
            .unwrap()
            .contains("must_keep = [\"spam\", \"fine\"]")
    );
    let without = Plan {
        start: "Is it spam?".into(),
        ..with
    };
    assert!(!without.spec("s.toml").unwrap().contains("must_keep"));
}

proptest! {
    #[test]
    fn any_text_is_quoted_so_that_it_is_read_back(
        text in prop_oneof!["\\PC{0,40}", "[\u{0}-\u{ff}\"\\\\]{0,40}"],
    ) {
        let document: toml::Table = toml::from_str(&format!("x = {}", quoted(&text))).unwrap();
        prop_assert_eq!(document["x"].as_str(), Some(text.as_str()));
    }
}
