//! The full example, the table of keys, the types and `docs/spec.md` agree; the examples load.

#![allow(clippy::unwrap_used)]

mod common;

use common::{SMALL, World, load, load_as};
use serde_json::Value;
use spec::{
    FULL_EXAMPLE, Loaded, Purpose, Spec, docs,
    keys::{Absent, KEYS, slot},
};
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// The full example with the settings that it does not use.
fn uncommented() -> String {
    let plain = |line: &'static str| match line.strip_prefix('#') {
        Some(setting) if !setting.starts_with(' ') => setting,
        _ => line,
    };
    FULL_EXAMPLE
        .lines()
        .map(plain)
        .collect::<Vec<_>>()
        .join("\n")
}

fn whole() -> Loaded {
    load(&uncommented(), &World::rich()).unwrap_or_else(|e| panic!("{e}"))
}

/// The patterns of every leaf of a document.
fn patterns(value: &Value, pattern: &str, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(entries) => {
            for (key, value) in entries {
                let key = if pattern == "models" { "*" } else { key };
                let joint = if pattern.is_empty() { "" } else { "." };
                patterns(value, &format!("{pattern}{joint}{key}"), found);
            }
        }
        Value::Array(items) if items.iter().any(Value::is_object) => {
            for item in items {
                patterns(item, &format!("{pattern}[]"), found);
            }
        }
        _ => {
            found.insert(pattern.to_owned());
        }
    }
}

#[test]
fn the_full_example_shows_every_key() {
    let text = uncommented();
    let document: Value = toml::from_str(&text).unwrap();
    let mut shown = BTreeSet::new();
    patterns(&document, "", &mut shown);
    let known: BTreeSet<String> = KEYS.iter().map(|key| key.path.to_owned()).collect();
    assert_eq!(shown, known);
}

#[test]
fn the_types_have_every_key_of_the_table_and_no_other() {
    let json: Value = serde_json::from_str(&whole().spec.canonical_json()).unwrap();
    let mut typed = BTreeSet::new();
    patterns(&json, "", &mut typed);
    // Where they are what was always done, they are not written.
    typed.extend(["train.pairs", "search.weights"].map(str::to_owned));
    let known: BTreeSet<String> = KEYS.iter().map(|key| key.path.to_owned()).collect();
    assert_eq!(typed, known);
}

#[test]
fn the_full_example_loads_as_it_is() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let spec = root.join("promptimal-spec.toml");
    let loaded = spec::load_text(FULL_EXAMPLE, &spec, &[], Purpose::Run, &spec::Machine);
    let loaded = loaded.unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(loaded.warnings, Vec::<String>::new());
    assert!(spec::load_text(FULL_EXAMPLE, &spec, &[], Purpose::Eval, &spec::Machine).is_ok());
}

#[test]
fn literal_defaults_are_those_of_the_types() {
    let more = "[models.h]\nkind = \"http\"\nmodel = \"m\"\nbase_url = \"http://localhost\"\n[models.r]\nkind = \"reward\"\nmodel = \"owner/name\"\n[train]\nbase = \"smollm2-135m-instruct\"\n[instruct]\n[[instruct.start]]\ninstruction = \"Is it good?\"\n";
    let loaded = load(&format!("{SMALL}{more}"), &World::rich()).unwrap();
    let mut json: Value = serde_json::from_str(&loaded.spec.canonical_json()).unwrap();
    // The unchanged prompt has a name of its own; what is asked here is the default of `user`.
    let literal = |key: &spec::keys::Key| match key.default {
        Absent::Is(value) => {
            let document: Value = toml::from_str(&format!("v = {value}")).unwrap();
            Some(document["v"].clone())
        }
        _ => None,
    };
    let mut compared = 0;
    json["models"]["l"] = json["models"]["target"].clone();
    for key in KEYS {
        let (Some(wanted), false) = (literal(key), key.path.contains("grader")) else {
            continue;
        };
        let name = match key.only {
            ["http"] => "h",
            ["reward"] => "r",
            _ => "l",
        };
        let pointer =
            format!("/{}", key.path.replace("[]", ".0").replace('*', name)).replace('.', "/");
        let typed = json.pointer(&pointer);
        match typed {
            Some(typed) => assert_eq!(*typed, wanted, "{}", key.path),
            // Empty lists may be left out of the JSON; mapped fields are not in this spec.
            // So may what was always done.
            None if key.path == "train.pairs" => assert_eq!(wanted, "confirmed"),
            None => assert!(
                wanted == Value::Array(Vec::new()) || key.path.contains("fields"),
                "{} has no default in the types",
                key.path
            ),
        }
        compared += 1;
    }
    assert!(compared > 40, "only {compared} defaults compared");
}

#[test]
fn every_grader_kind_of_the_table_is_a_grader() {
    for kind in spec::keys::GRADER_KINDS {
        let all = serde_json::json!({
            "kind": kind, "tolerance": 0.0, "labels": ["a", "b"], "pattern": "x", "command": ["x"],
            "url": "http://localhost", "timeout_seconds": 1, "token_env": "T", "model": "m",
            "fields": ["a"], "only": true, "rubric": "short ones",
        });
        let fits = |key: &str| {
            let found = KEYS
                .iter()
                .find(|k| k.path == format!("datasets[].grader.{key}"))
                .unwrap();
            found.only.is_empty() || found.only.contains(kind)
        };
        let mut grader = all.as_object().unwrap().clone();
        grader.retain(|key, _| fits(key));
        let parsed: Result<domain::grade::Grader, _> = serde_json::from_value(grader.into());
        assert!(parsed.is_ok(), "{kind}");
    }
}

#[test]
fn every_key_has_its_own_place() {
    let paths: BTreeSet<&str> = KEYS.iter().map(|key| key.path).collect();
    assert_eq!(paths.len(), KEYS.len());
    for key in KEYS {
        assert!(matches!(slot(key.path), spec::keys::Slot::Leaf(_)));
    }
}

#[test]
fn the_reference_in_docs_is_the_table() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/spec.md");
    let text = fs::read_to_string(&path).unwrap();
    let (before, rest) = text.split_once(docs::BEGIN).expect("no begin marker");
    let (old, after) = rest.split_once(docs::END).expect("no end marker");
    let new = format!("\n{}\n", docs::reference());
    if std::env::var_os("UPDATE_DOCS").is_some() {
        let whole = format!("{before}{}{new}{}{after}", docs::BEGIN, docs::END);
        fs::write(&path, whole).unwrap();
        return;
    }
    assert_eq!(
        old, new,
        "docs/spec.md is out of date: run the tests with UPDATE_DOCS=1"
    );
}

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples")
}

fn example(name: &str, purpose: Purpose) -> Loaded {
    let text = fs::read_to_string(examples().join(name)).unwrap();
    load_as(&text, &World::rich(), purpose, &[]).unwrap_or_else(|e| panic!("{name}: {e}"))
}

#[test]
fn the_quickstart_needs_nothing_but_this_repository() {
    let path = examples().join("quickstart.toml");
    let loaded = spec::load(&path, &[], Purpose::Run).unwrap_or_else(|e| panic!("{e}"));
    assert!(loaded.warnings.is_empty(), "{loaded:?}");
    let graders: Vec<_> = loaded
        .spec
        .datasets
        .iter()
        .filter_map(|d| d.grader())
        .collect();
    assert_eq!(graders.len(), 3);
    assert!(graders.iter().take(2).all(|g| g.wants_scores()));
    assert_eq!(graders[2].name(), "code");
    assert_eq!(loaded.spec.search.rounds, 4);
}

#[test]
fn the_evaluation_compares_two_prompts() {
    let path = examples().join("eval.toml");
    let loaded = spec::load(&path, &[], Purpose::Eval).unwrap_or_else(|e| panic!("{e}"));
    assert!(loaded.warnings.is_empty(), "{loaded:?}");
    assert_eq!(loaded.spec.eval.prompts.len(), 2);
    assert!(!loaded.spec.eval.thresholds.is_empty());
}

#[test]
fn the_http_example_has_prices_and_a_cap() {
    let loaded = example("openai.toml", Purpose::Run);
    let (read, written) = loaded.spec.target().unwrap().prices();
    assert!(read > 0.0 && written > read);
    assert!(loaded.spec.budget.limits().cost_micros > Some(0));
}

#[test]
fn the_reference_experiment_is_whole() {
    let loaded = example("reference.toml", Purpose::Run);
    let Spec { search, train, .. } = &loaded.spec;
    let quotas: usize = loaded.spec.quotas().iter().map(|(_, n)| n).sum();
    assert_eq!((quotas, search.rewrites, search.rounds), (2500, 2, 4));
    let train = train
        .as_ref()
        .map(|t| (t.validation, t.rank, t.weights.as_str()));
    assert_eq!(train, Some((0.15, 80, "nf4")));
    assert!(loaded.paths.train.is_some());
}

#[test]
fn the_instruct_examples_need_nothing_but_this_repository() {
    let graders = [
        ("sentiment", "label"),
        ("news", "label"),
        ("gsm8k", "numeric"),
        ("extraction", "json"),
    ];
    for (name, grader) in graders {
        let path = examples().join(format!("instruct/{name}.toml"));
        let loaded = spec::load(&path, &[], Purpose::Run).unwrap_or_else(|e| panic!("{e}"));
        assert!(loaded.warnings.is_empty(), "{name}: {loaded:?}");
        let found = loaded.spec.datasets[0].grader().unwrap();
        assert_eq!(found.name(), grader);
    }
}
