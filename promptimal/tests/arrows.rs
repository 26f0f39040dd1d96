//! The arrows between the crates of this workspace, as the design draws them, checked against
//! `cargo metadata`. The tables below are the only place where they are written down for a machine;
//! a new crate gets its row in [`ARROWS`] with its first commit.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a failure here is a failed test"
)]

use std::collections::{BTreeMap, BTreeSet};

use cargo_metadata::{DependencyKind, MetadataCommand};

/// What each crate may import from this workspace. The binary, [`TOP`], may import everything.
/// Tests may import more: development dependencies are checked against [`TOP`] and [`SEAMS`] only.
const ARROWS: &[(&str, &[&str])] = &[
    // Tests of faults: it knows nothing, and does nothing in a release.
    ("sabotage", &[]),
    ("domain", &[]),
    // Operators, races and choices of `instruct` mode, as pure functions.
    ("search", &["domain"]),
    ("wire", &["domain"]),
    // A spec says how a data set is to be read, in the readers' own types, and names operators.
    ("spec", &["domain", "dataset", "search"]),
    ("queue", &["wire", "sabotage"]),
    ("store", &["domain", "wire", "spec"]),
    ("store-sqlite", &["domain", "wire", "spec", "store"]),
    (
        "store-postgres",
        &["domain", "wire", "spec", "store", "sabotage"],
    ),
    ("artefacts", &["domain"]),
    ("model", &["domain"]),
    // It runs programs and knows none of ours.
    ("sandbox", &[]),
    ("llm", &["domain", "model"]),
    ("dataset", &["domain"]),
    // Training reads pairs from files, and a base through the crate that reads models.
    ("train", &["domain", "dataset", "model"]),
    // Bodies by reference are part of how every program uses the queue.
    (
        "runtime",
        &["domain", "wire", "queue", "artefacts", "sabotage"],
    ),
    (
        "worker-eval",
        &[
            // Of a spec, its `[models]`.
            "domain", "wire", "spec", "queue", "llm", "model", "dataset", "runtime", "sandbox",
            "sabotage",
        ],
    ),
    (
        "worker-score",
        &[
            "domain", "wire", "spec", "queue", "model", "runtime", "dataset",
        ],
    ),
    // It answers over HTTP, and knows neither runs nor queues.
    ("serve", &["model", "runtime"]),
    (
        "worker-train",
        &[
            "domain",
            "wire",
            "queue",
            "artefacts",
            "model",
            "train",
            "runtime",
        ],
    ),
    (
        "coordinator",
        &[
            "domain", "search", "wire", "spec", "queue", "store", "llm", "dataset", "runtime",
            "sabotage",
        ],
    ),
];

/// The top of the house: nobody imports it, not even a test.
const TOP: &str = "promptimal";

/// Packages (and all that begin like them) that only these crates name, so that they can be replaced.
const SEAMS: &[(&str, &[&str])] = &[
    ("sqlx", &["store-sqlite", "store-postgres"]),
    // Training needs the operations with gradients; models are read through `model` all the same.
    ("candle", &["model", "train"]),
    ("tokenizers", &["model"]),
    ("lapin", &["queue"]),
    ("object_store", &["artefacts"]),
];

/// What may not be reached over any number of steps: a worker is stateless because it cannot see a
/// store, whatever its imports import. Covers every crate whose name begins so.
const OUT_OF_REACH: &[(&str, &str)] = &[("worker-", "store"), ("coordinator", "store-")];

/// A dependency: its name, and whether only tests have it.
type Dependency = (String, bool);
/// The crates of the workspace and all that their manifests name.
type House = BTreeMap<String, Vec<Dependency>>;

/// Every broken arrow, said so that the reader knows what to do.
fn broken_arrows(house: &House) -> Vec<String> {
    let mut broken = Vec::new();
    for (name, dependencies) in house {
        let allowed = ARROWS
            .iter()
            .find(|(from, _)| from == name)
            .map(|(_, to)| *to);
        if allowed.is_none() && name != TOP {
            broken.push(format!(
                "{name} has no row in ARROWS: say what it may import"
            ));
        }
        for (dependency, only_tests) in dependencies {
            broken.extend(broken_seam(name, dependency));
            if dependency == TOP {
                broken.push(format!("{name} imports {TOP}, which nobody may"));
            } else if house.contains_key(dependency)
                && !only_tests
                && allowed.is_some_and(|allowed| !allowed.contains(&dependency.as_str()))
            {
                broken.push(format!(
                    "{name} imports {dependency}, which the design does not draw"
                ));
            }
        }
        broken.extend(broken_reach(house, name));
    }
    broken
}

fn broken_seam(name: &str, dependency: &str) -> Option<String> {
    let (_, owners) = SEAMS
        .iter()
        .find(|(prefix, _)| dependency.starts_with(prefix))?;
    let allowed = owners.contains(&name);
    let owners = owners.join(" and ");
    (!allowed).then(|| format!("{name} names {dependency}, which only {owners} may"))
}

fn broken_reach(house: &House, name: &str) -> Vec<String> {
    let rules = OUT_OF_REACH
        .iter()
        .filter(|(from, _)| name.starts_with(from));
    let reached = reached(house, name);
    rules
        .flat_map(|(_, to)| reached.iter().filter(move |crate_| crate_.starts_with(to)))
        .map(|crate_| format!("{name} reaches {crate_}, over however many steps"))
        .collect()
}

/// The crates of the workspace that `name` depends on when it is built, directly or not.
fn reached<'h>(house: &'h House, name: &str) -> BTreeSet<&'h str> {
    let mut reached = BTreeSet::new();
    let mut open = vec![name];
    while let Some(dependencies) = open.pop().map(|name| house.get(name)) {
        for (dependency, only_tests) in dependencies.into_iter().flatten() {
            let inside = house.contains_key(dependency) && !only_tests;
            if inside && reached.insert(dependency.as_str()) {
                open.push(dependency);
            }
        }
    }
    reached
}

/// This workspace as cargo sees it. Reads manifests only, so it needs no network and no lock file.
fn this_house() -> House {
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    let metadata = MetadataCommand::new()
        .manifest_path(manifest)
        .no_deps()
        .exec();
    let packages = metadata
        .expect("cargo metadata should read this workspace")
        .packages;
    let dependencies = |package: &cargo_metadata::Package| {
        let all = package.dependencies.iter();
        all.map(|found| {
            (
                found.name.clone(),
                found.kind == DependencyKind::Development,
            )
        })
        .collect()
    };
    packages
        .iter()
        .map(|package| (package.name.to_string(), dependencies(package)))
        .collect()
}

/// A house of our own making: `crate -> dependency`, with `~>` for what only tests have.
fn made_up(arrows: &[&str]) -> House {
    let mut house = House::new();
    for arrow in arrows {
        let (only_tests, parts) = match arrow.split_once(" ~> ") {
            Some(parts) => (true, parts),
            None => (
                false,
                arrow.split_once(" -> ").expect("an arrow has two ends"),
            ),
        };
        let (from, to) = (parts.0.to_owned(), parts.1.to_owned());
        if ARROWS.iter().any(|(name, _)| *name == to) || to == TOP {
            house.entry(to.clone()).or_default();
        }
        house.entry(from).or_default().push((to, only_tests));
    }
    house
}

#[test]
fn every_arrow_of_this_workspace_is_drawn_in_the_design() {
    let house = this_house();
    assert!(
        house.contains_key(TOP) && house.contains_key("domain"),
        "{:?}",
        house.keys()
    );
    let broken = broken_arrows(&house);
    assert!(
        broken.is_empty(),
        "broken arrows:\n  {}",
        broken.join("\n  ")
    );
}

#[test]
fn the_tables_name_no_crate_that_is_gone() {
    let house = this_house();
    for (name, allowed) in ARROWS {
        assert!(house.contains_key(*name), "{name} has a row and no crate");
        for other in *allowed {
            assert!(
                house.contains_key(*other),
                "{name} may import {other}, which is no crate"
            );
        }
    }
}

#[test]
fn the_table_itself_keeps_the_layers() {
    let everything_allowed: House = ARROWS
        .iter()
        .map(|(name, to)| {
            (
                name.to_string(),
                to.iter().map(|to| (to.to_string(), false)).collect(),
            )
        })
        .collect();
    assert_eq!(broken_arrows(&everything_allowed), Vec::<String>::new());
    for (name, _) in ARROWS {
        assert!(
            !reached(&everything_allowed, name).contains(name),
            "{name} reaches itself"
        );
    }
}

#[test]
fn a_broken_arrow_is_found() {
    let cases: &[(&[&str], &[&str])] = &[
        (
            &["domain -> wire"],
            &["domain imports wire, which the design does not draw"],
        ),
        (&["domain ~> wire", "llm -> model", "wire -> serde"], &[]),
        (
            &["wire ~> promptimal"],
            &["wire imports promptimal, which nobody may"],
        ),
        (
            &["promptimal -> store-sqlite", "promptimal -> coordinator"],
            &[],
        ),
        (
            &["coordinator ~> sqlx"],
            &["coordinator names sqlx, which only store-sqlite and store-postgres may"],
        ),
        (&["store-postgres -> sqlx"], &[]),
        (
            &["llm -> candle-core"],
            &["llm names candle-core, which only model and train may"],
        ),
        (
            &["coordinator -> store-sqlite"],
            &[
                "coordinator imports store-sqlite, which the design does not draw",
                "coordinator reaches store-sqlite, over however many steps",
            ],
        ),
        (
            &["worker-eval -> llm", "llm -> dataset", "dataset -> store"],
            &[
                "dataset imports store, which the design does not draw",
                "llm imports dataset, which the design does not draw",
                "worker-eval reaches store, over however many steps",
            ],
        ),
        (
            &["attic -> serde"],
            &["attic has no row in ARROWS: say what it may import"],
        ),
    ];
    for (arrows, expected) in cases {
        assert_eq!(broken_arrows(&made_up(arrows)), *expected, "{arrows:?}");
    }
}
