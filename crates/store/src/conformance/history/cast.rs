//! Who plays: examples, targets, candidates, and how good each is. Nothing here is drawn by chance: numbers are those
//! of hashes.

use crate::{NewTask, Run, conformance::world};
use domain::{
    call::{Answer, Reply, Usage},
    candidate::{Arm, Candidate, Target, Verdict},
    example::{Example, Reference, Split},
    grade::Grade,
    hash::Hash,
    ids::RunId,
    prompt::PromptDoc,
    run::{Item, Member, RunKind, RunStatus, Spend},
};

/// When the first run begins: 2026-11-24 08:00:00.
pub const BEGIN: i64 = 1_795_507_200_000_000;
/// A second.
pub const SECOND: i64 = 1_000_000;

/// Datasets, their questions, and the group of each.
const QUESTIONS: &[(&str, &str, &str)] = &[
    ("planets", "Which planet is hot?", "astronomy"),
    ("planets", "Which planet is red?", "astronomy"),
    ("planets", "Which planet has no moon?", "moons"),
    ("planets", "Which planet has most moons?", "moons"),
    ("rivers", "Which river is longest?", "length"),
    ("rivers", "Which river is widest?", "width"),
    ("rivers", "Which river ends in a desert?", "length"),
];
/// The question that no prompt helps.
const HOPELESS: &str = "Which planet has most moons?";

/// A number that belongs to a text.
pub fn number(text: impl AsRef<str>) -> u64 {
    Hash::of([text.as_ref()]).seed()
}

/// The `n`th run, from 1.
pub fn run(n: u32, name: &str, kind: RunKind) -> Run {
    let id = format!("00000000-0000-7000-8000-{n:012}");
    Run {
        id: id.parse().expect("an id"),
        name: name.to_owned(),
        tags: vec!["nightly".to_owned()],
        kind,
        status: RunStatus::Running,
        reason: None,
        spec: "{}".to_owned(),
        spec_hash: Hash::of([name]),
        summary: None,
        created_at: BEGIN + i64::from(n - 1) * 3600 * SECOND,
        finished_at: None,
    }
}

/// The examples, each with its membership.
pub fn members() -> Vec<(Member, Example)> {
    let one = |(dataset, input, group): &(&str, &str, &str)| {
        let example = Example {
            input: (*input).to_owned(),
            context: None,
            choices: vec![],
            reference: Reference::Text {
                text: format!("that of {input}"),
            },
            group: Some((*group).to_owned()),
        };
        let id = example.id();
        let member = Member {
            example: id,
            dataset: (*dataset).to_owned(),
            cluster: id,
            split: Split::Train,
        };
        (member, example)
    };
    QUESTIONS.iter().map(one).collect()
}

/// The grader of a dataset.
pub fn grader(dataset: &str) -> (String, String) {
    match dataset {
        "planets" => ("exact".to_owned(), "1-abcd".to_owned()),
        _ => ("contains".to_owned(), "1-ef01".to_owned()),
    }
}

/// A target with the example that it is about.
pub fn target(run: RunId, model: &str, (member, example): &(Member, Example)) -> Target {
    Target {
        id: run.target(&format!("{}/{model}/{}", member.dataset, example.input)),
        dataset: member.dataset.clone(),
        model: model.to_owned(),
        example: Some(member.example),
    }
}

/// The unchanged prompt.
pub fn original(run: RunId, target: &Target) -> Candidate {
    world::original(
        run.candidate(&format!("{}/0/original/0", target.id)),
        target.id,
    )
}

/// A rewrite, with its first verdict.
pub fn rewrite(run: RunId, base: &Candidate, (arm, round, ordinal): (Arm, u32, u32)) -> Candidate {
    let words = format!("{} of {} take {round}.{ordinal}", arm.as_str(), base.target);
    let verdict = match number(&words) % 7 {
        0 => rejected("leak_verbatim", "it names the answer"),
        1 => rejected("duplicate", "it was written before"),
        _ => Verdict::Proposed,
    };
    let operator = match (arm, ordinal % 2) {
        (Arm::Placebo, _) => "paraphrase@1",
        (_, 0) => "trajectory@1",
        _ => "crossover@1",
    };
    Candidate {
        id: run.candidate(&format!("{}/{round}/{ordinal}", base.target)),
        round,
        ordinal,
        arm,
        operator: operator.to_owned(),
        author: "proposer".to_owned(),
        parents: vec![base.id],
        doc: PromptDoc::rewrite(words),
        verdict,
        ..base.clone()
    }
}

/// What the guard says of a candidate that was proposed.
pub fn guarded(candidate: &Candidate) -> Verdict {
    match number(candidate.id.to_string()) % 8 {
        0 => rejected("leak_probe", "the added words give the answer away"),
        1 => rejected("lost_number", "the question's number is gone"),
        _ => Verdict::Accepted,
    }
}

fn rejected(reason: &str, detail: &str) -> Verdict {
    Verdict::Rejected {
        reason: reason.to_owned(),
        detail: detail.to_owned(),
    }
}

/// How good a candidate is for an example, from 0 to 4.
pub fn quality(candidate: &Candidate, example: &Example) -> u64 {
    match &candidate.doc.question {
        _ if example.input == HOPELESS => 0,
        Some(words) => number(words) % 5,
        None => number(&example.input) % 3 + u64::from(candidate.ordinal),
    }
}

/// The grade of a draw: quality, more or less. Quarters and sixteenths add up exactly in any order.
pub fn grade(quality: u64, example: &Example, key: Hash) -> Grade {
    let luck = number(format!("luck {key}")) % 3;
    let value = match example.input == HOPELESS {
        true => luck % 2,
        false => (quality + luck).saturating_sub(1).min(4),
    };
    Grade {
        value: value as f64 / 4.0,
        raw: None,
        margin: Some((number(format!("margin {key}")) % 16) as f64 / 16.0),
        feedback: "as it is".to_owned(),
    }
}

/// What a model says to a question, and what it costs.
pub fn answer(model: &str, key: Hash) -> Answer {
    let n = number(format!("answer {key}"));
    let price = if model == "proposer" || model == "large" {
        10
    } else {
        1
    };
    Answer {
        reply: Reply::Text {
            text: format!("answer {n:x}"),
        },
        usage: Usage {
            prompt_tokens: 20 + n % 40,
            completion_tokens: 1 + n % 25,
        },
        cost_micros: price * (5 + n % 11),
    }
}

/// A task of a model.
pub fn task(run: RunId, place: &str, asked: &Block) -> NewTask {
    NewTask {
        id: run.task(place),
        body: format!(r#"{{"model":"{}"}}"#, asked.model),
        items: asked.items.clone(),
        worst: Spend {
            calls: asked.items.len() as u64,
            tokens: 200 * asked.items.len() as u64,
            cost_micros: 300 * asked.items.len() as u64,
        },
        grader: asked.grader.clone(),
    }
}

/// Items of one task.
#[derive(Clone, Debug)]
pub struct Block {
    /// The model asked.
    pub model: String,
    /// How its answers are graded.
    pub grader: Option<(String, String)>,
    /// What is asked.
    pub items: Vec<Item>,
}
