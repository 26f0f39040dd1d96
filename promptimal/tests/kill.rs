//! kill -9 at any moment, then the same command again: the run ends as if nothing had happened, and nothing that
//! is stored is bought again.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod support;

use domain::{
    call::Call,
    hash::{Hash, answer_key},
};
use llm::{
    LanguageModel,
    http::{HttpModel, HttpOptions},
};
use std::{
    collections::{BTreeMap, HashMap},
    path::Path,
    thread,
    time::Duration,
};
use support::{
    Scene, Watched,
    history::{number, projection, query, stored_keys},
    server::Asked,
};

/// How long the server takes for a reply while the run is killed: stages last long enough to be hit.
const LATENCY_MS: u64 = 25;
/// The target's concurrency in the spec.
const CONCURRENCY: u64 = 4;

/// The stages of a run in their order, as the progress lines name them.
const STAGES: [&str; 11] = [
    "baseline",
    "round 1 writing",
    "round 1 leak guard",
    "round 1 trying",
    "round 2 writing",
    "round 2 leak guard",
    "round 2 trying",
    "placebo writing",
    "placebo leak guard",
    "placebo trying",
    "confirming on fresh draws",
];

/// Which kinds of stages there are; each is hit at least twice.
fn kind(stage: usize) -> &'static str {
    match STAGES[stage] {
        "baseline" => "baseline",
        "confirming on fresh draws" => "confirming",
        s if s.starts_with("placebo") => "placebo",
        s if s.ends_with("writing") => "writing",
        s if s.ends_with("leak guard") => "leak guard",
        _ => "trying",
    }
}

/// When the next process is killed.
#[derive(Clone, Copy, Debug)]
enum Aim {
    /// While this stage, or a later one, is under way.
    Stage(usize),
    /// After so many milliseconds, wherever that is: while it starts, reads, plans.
    Blind(u64),
}

/// A progress line: the stage, items done, items in all.
fn progress(line: &str) -> Option<(usize, u64, u64)> {
    let (stage, rest) = line.split_once(": ")?;
    let stage = STAGES.iter().position(|s| *s == stage)?;
    let (done, items) = rest.split(',').next()?.split_once('/')?;
    Some((stage, done.parse().ok()?, items.parse().ok()?))
}

/// splitmix64 (Steele, Lea and Flood, 2014): the moments are random and the same in every run of the test.
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let x = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (x ^ (x >> 31)) % n.max(1)
    }
}

fn aims(random: &mut Random) -> Vec<Aim> {
    let mut aims = vec![Aim::Blind(random.below(60))];
    for stage in 0..STAGES.len() {
        let times = if stage == 0 || stage == STAGES.len() - 1 {
            4
        } else {
            2
        };
        aims.extend([Aim::Stage(stage)].repeat(times));
        if stage % 4 == 0 {
            aims.push(Aim::Blind(random.below(250)));
        }
    }
    aims
}

/// Where a process was when it was killed: the stage under way, `None` between stages, while starting, or planning.
enum Hit {
    Killed(Option<usize>),
    Finished,
}

fn hit(scene: &Scene, aim: Aim, random: &mut Random) -> Hit {
    let watched = Watched::start(&mut scene.command(&["run", "spec.toml"]));
    let mut last = None;
    match aim {
        Aim::Blind(ms) => thread::sleep(Duration::from_millis(ms)),
        Aim::Stage(wanted) => {
            for line in watched.lines.iter() {
                last = progress(&line).or(last);
                let Some((stage, done, items)) = last else {
                    continue;
                };
                if stage >= wanted && done < items {
                    // Somewhere in the first two thirds of what the stage still takes.
                    let left = (items - done) * LATENCY_MS / CONCURRENCY;
                    thread::sleep(Duration::from_millis(random.below(left * 2 / 3)));
                    break;
                }
            }
        }
    }
    let mut watched = watched;
    if watched.child.try_wait().unwrap().is_some() {
        watched.finish().exits(0);
        return Hit::Finished;
    }
    for line in watched.kill() {
        last = progress(&line).or(last);
    }
    Hit::Killed(last.filter(|(_, done, items)| done < items).map(|l| l.0))
}

/// The keys of requests: what a chat's seed says of its key; of scored texts, the possible keys.
struct Keys {
    identity: String,
}

impl Keys {
    fn new(url: &str) -> Self {
        let mut options = HttpOptions::new(url, "mock");
        options.score_endpoint = true;
        let identity = HttpModel::new(options).unwrap().identity().key.clone();
        Self { identity }
    }

    /// A request as its possible short keys.
    fn of(&self, asked: &Asked) -> Vec<u64> {
        match asked {
            Asked::Chat { seed } => vec![*seed],
            Asked::Echo { texts } => {
                let at = texts[0].find("Answer:").unwrap() + "Answer:".len();
                let call = Call::Loglik {
                    messages: vec![],
                    prefix: texts[0][..at].to_owned(),
                    continuations: texts.iter().map(|t| t[at..].to_owned()).collect(),
                };
                (0..2)
                    .map(|repeat| short(&answer_key(&self.identity, &call, repeat)))
                    .collect()
            }
        }
    }
}

/// What a server is sent of a key.
fn short(key: &Hash) -> u64 {
    key.seed() & 0x7fff_ffff
}

/// Fails if an answer was asked for that was stored before: `stored` says for each key from which request on.
fn nothing_was_bought_twice(scene: &Scene, before: usize, stored: &HashMap<u64, usize>) {
    let (keys, mut known) = (Keys::new(&scene.server.url), 0);
    for (at, asked) in scene.server.log().iter().enumerate().skip(before) {
        for key in keys.of(asked) {
            known += usize::from(stored.contains_key(&key));
            let bought = stored.get(&key).is_none_or(|since| at < *since);
            assert!(bought, "request {at} asks for a stored answer: {asked:?}");
        }
    }
    // Without this the check above would pass on keys that were worked out wrongly.
    assert!(
        known >= stored.len(),
        "{known} of {} keys seen",
        stored.len()
    );
}

fn books_are_in_order(data: &Path, requests: usize) {
    let open = "SELECT id, state FROM tasks WHERE state <> 'done'";
    let left = query(data, open);
    assert!(left.is_empty(), "tasks left: {left:?}");
    let charged = number(data, "SELECT sum(cost_micros) FROM ledger");
    let cost = number(data, "SELECT sum(cost_micros) FROM answers");
    assert!(charged >= cost && cost > 0, "{charged} of {cost} charged");
    let calls = number(data, "SELECT sum(calls) FROM ledger");
    assert!(
        calls >= requests as i64,
        "{calls} of {requests} calls charged"
    );
    let spend = number(data, "SELECT calls FROM run_spend");
    assert_eq!(spend, calls, "the sum that caps compare is the ledger's");
}

#[test]
fn killed_at_any_moment_a_run_ends_as_if_nothing_had_happened() {
    let scene = Scene::new(40);
    let spec = scene.spec();
    let text = std::fs::read_to_string(&spec).unwrap();
    std::fs::write(&spec, text.replace("hardest = 4", "hardest = 8")).unwrap();
    let whole = support::done(support::promptimal().current_dir(scene.dir.path()).args([
        "--data-dir",
        "whole",
        "run",
        "spec.toml",
    ]));
    whole.exits(0);
    let before = scene.server.requests();

    scene.server.set_latency(LATENCY_MS);
    let data = scene.path("data");
    let mut random = Random(7);
    let mut hits: BTreeMap<&str, u32> = BTreeMap::new();
    let mut stored: HashMap<u64, usize> = HashMap::new();
    let mut kills = 0;
    for aim in aims(&mut random) {
        let Hit::Killed(stage) = hit(&scene, aim, &mut random) else {
            break;
        };
        kills += 1;
        *hits.entry(stage.map_or("elsewhere", kind)).or_default() += 1;
        let since = scene.server.requests();
        for key in stored_keys(&data) {
            stored.entry(short(&key)).or_insert(since);
        }
    }
    scene.server.set_latency(1);
    scene.run(&["run", "spec.toml"]).exits(0);

    println!(
        "{kills} kills: {hits:?}, {} answers stored at some",
        stored.len()
    );
    assert!(kills >= 20, "{kills} kills");
    for stage in 0..STAGES.len() {
        let times = hits.get(kind(stage)).copied().unwrap_or(0);
        assert!(times >= 2, "{} was hit {times} times", kind(stage));
    }
    assert_eq!(projection(&data), projection(&scene.path("whole")));
    nothing_was_bought_twice(&scene, before, &stored);
    books_are_in_order(&data, scene.server.requests() - before);
}
