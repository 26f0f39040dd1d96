//! `--dry-run`: what a run would ask, stage by stage, before anything is spent.

use crate::{out, progress::thousands};
use anyhow::Context;
use comfy_table::{CellAlignment, Table, presets};
use coordinator::settings::{InstructPlan, PROPOSER, Settings, TARGET};
use domain::{
    call::{Call, Sampling},
    example::Example,
    grade::Grader,
    judge::{self, Order, Pair},
    operator::{Operator, ProposeContext, TaskKind},
    prompt::{self, Asking, PromptDoc},
    run::RunKind,
};
use serde::Serialize;
use spec::{EvalSplit, Loaded, Model, Spec};

/// Bytes of English text in a token, about.
const BYTES_PER_TOKEN: f64 = 4.0;
/// Tokens a second of a small local model on two cores, about: reading and writing.
const LOCAL_SPEED: (f64, f64) = (350.0, 60.0);
/// Tokens a second of a large reward model on two cores, about.
const REWARD_SPEED: f64 = 190.0;
/// Seconds of one call over HTTP, about.
const HTTP_SECONDS: f64 = 2.0;
/// Replies are this share of the longest, about.
const REPLY_SHARE: f64 = 0.5;
/// Rows read to learn how long questions are.
const SAMPLE: usize = 200;

/// A stage of the plan.
#[derive(Debug, Default, Serialize)]
struct Stage {
    stage: String,
    calls: u64,
    tokens: u64,
    cost_usd: f64,
    seconds: f64,
}

/// The plan of a run.
#[derive(Debug, Serialize)]
struct Plan {
    stages: Vec<Stage>,
    calls: u64,
    tokens: u64,
    cost_usd: f64,
    seconds: f64,
}

/// What the questions of a dataset look like, on average.
struct Shape {
    rows: u64,
    read: f64,
    continuations: f64,
    words: f64,
    writes: bool,
    hardest: u64,
    /// Whether a reward model grades.
    scored: bool,
    /// The name of the model that judges, where one does.
    judge: Option<String>,
}

/// Prints the plan.
///
/// # Errors
/// When a dataset cannot be read.
pub fn print(loaded: &Loaded, kind: RunKind, json: bool) -> anyhow::Result<()> {
    let plan = plan(loaded, kind)?;
    if json {
        return out::json(&plan);
    }
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED);
    table.set_header(["stage", "calls", "tokens", "cost", "time"]);
    let row = |s: &Stage| {
        [
            s.stage.clone(),
            thousands(s.calls),
            thousands(s.tokens),
            format!("${:.2}", s.cost_usd),
            minutes(s.seconds),
        ]
    };
    plan.stages.iter().for_each(|s| {
        table.add_row(row(s));
    });
    table.add_row(row(&Stage {
        stage: "in all, about".to_owned(),
        calls: plan.calls,
        tokens: plan.tokens,
        cost_usd: plan.cost_usd,
        seconds: plan.seconds,
    }));
    (1..5).for_each(|i| {
        if let Some(column) = table.column_mut(i) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    });
    out::line(table.to_string());
    if let (Some(tuning), RunKind::Optimise) = (&loaded.spec.train, kind) {
        out::line(format!(
            "Then {} learns from the pairs that are found: no calls, and minutes to hours.",
            tuning.base
        ));
    }
    out::line("An estimate from the data's length: nothing was asked, nothing was stored.");
    Ok(())
}

fn minutes(seconds: f64) -> String {
    match seconds {
        s if s < 90.0 => format!("{s:.0} s"),
        s if s < 5400.0 => format!("{:.0} min", s / 60.0),
        s => format!("{:.1} h", s / 3600.0),
    }
}

fn plan(loaded: &Loaded, kind: RunKind) -> anyhow::Result<Plan> {
    let spec = &loaded.spec;
    let settings = Settings::new(spec, kind);
    let shapes: Vec<Shape> = spec
        .datasets
        .iter()
        .filter_map(|d| Some((d, loaded.paths.datasets.get(&d.name)?)))
        .map(|(d, path)| shape(&d.source(path, spec.run.seed), &settings))
        .collect::<anyhow::Result<_>>()?;
    let mut stages = match kind {
        RunKind::Evaluate if settings.compares_rewriters() => comparison(spec, &settings, &shapes),
        RunKind::Evaluate => evaluation(spec, &settings, &shapes),
        RunKind::Optimise => match &settings.instruct {
            Some(plan) => instruct(spec, plan, &shapes),
            None => search(spec, &settings, &shapes),
        },
    };
    stages.extend(judging(spec, &settings, &shapes));
    stages.extend(scoring(spec, &settings, &shapes));
    let sum = |f: &dyn Fn(&Stage) -> f64| stages.iter().map(f).sum::<f64>();
    Ok(Plan {
        calls: stages.iter().map(|s| s.calls).sum(),
        tokens: stages.iter().map(|s| s.tokens).sum(),
        cost_usd: sum(&|s| s.cost_usd),
        seconds: sum(&|s| s.seconds),
        stages,
    })
}

fn shape(source: &dataset::Source, settings: &Settings) -> anyhow::Result<Shape> {
    let name = &source.name;
    let plan = settings.dataset(name);
    let grader = plan.map_or(Grader::Exact, |d| d.grader.clone());
    let (mut rows, mut read, mut continuations, mut words) = (0u64, 0.0, 0.0, 0.0);
    for row in dataset::open(source)? {
        let as_format = || format!("dataset `{name}`, read as format {}", source.format.name());
        let example = row.with_context(as_format)?.example;
        rows += 1;
        if rows as usize <= SAMPLE {
            let (r, c) = lengths(&example, &grader);
            read += r;
            continuations += c;
            words += example.input.len() as f64 / BYTES_PER_TOKEN;
        }
    }
    let n = rows.clamp(1, SAMPLE as u64) as f64;
    Ok(Shape {
        rows,
        read: read / n,
        continuations: continuations / n,
        words: words / n,
        writes: !grader.wants_scores(),
        hardest: plan.map_or(0, |d| d.hardest as u64),
        scored: grader.is_reward(),
        judge: match &grader {
            Grader::Judge { model, .. } => Some(model.clone()),
            _ => None,
        },
    })
}

/// Tokens of the question and of all its continuations.
fn lengths(example: &Example, grader: &Grader) -> (f64, f64) {
    let sampling = Sampling::default();
    let asking = Asking {
        grader,
        sampling: &sampling,
        repeat: 0,
        mismatched: &[],
    };
    let call = prompt::ask(&PromptDoc::default(), example, &asking).call;
    let after = match &call {
        Call::Loglik { continuations, .. } => continuations.iter().map(String::len).sum(),
        Call::Generate { .. } => 0,
    };
    let before = call.prompt_bytes() - after;
    (
        before as f64 / BYTES_PER_TOKEN,
        after as f64 / BYTES_PER_TOKEN,
    )
}

fn evaluation(spec: &Spec, settings: &Settings, shapes: &[Shape]) -> Vec<Stage> {
    let prompts = settings.eval.prompts.len() as u64 * u64::from(settings.repeats);
    let stage = |model: &String| {
        let asked = |s: &Shape| (s.rows * prompts, s.read + s.continuations, s.writes);
        sum(
            &format!("trying on {model}"),
            spec,
            model,
            shapes.iter().map(asked),
        )
    };
    settings.eval.models.iter().map(stage).collect()
}

/// Rewriters write once for each prompt; the target answers the originals twice, the rewrites, and one control.
fn comparison(spec: &Spec, settings: &Settings, shapes: &[Shape]) -> Vec<Stage> {
    let share = share(spec);
    let rows = |s: &Shape| (s.rows as f64 * share).round() as u64;
    let names = &settings.eval.rewriters;
    let write = |model: &String| {
        let told = match settings.is_trained(model) {
            true => 0.0,
            false => meta_tokens(),
        };
        let asked = shapes.iter().map(|s| (rows(s), told + s.words, true));
        sum(&format!("{model} writing"), spec, model, asked)
    };
    let mut out: Vec<Stage> = names.iter().map(write).collect();
    let draws = (3 + names.len() as u64) * u64::from(settings.repeats);
    let tries = shapes
        .iter()
        .map(|s| (rows(s) * draws, s.read + s.continuations, s.writes));
    out.push(sum("trying", spec, TARGET, tries));
    out
}

/// The part of the data that an evaluation asks.
fn share(spec: &Spec) -> f64 {
    match spec.eval.split {
        EvalSplit::All => 1.0,
        EvalSplit::Train => spec.splits.train,
        EvalSplit::Validation => spec.splits.validation,
        EvalSplit::Test => spec.splits.test,
    }
}

fn search(spec: &Spec, settings: &Settings, shapes: &[Shape]) -> Vec<Stage> {
    let train = spec.splits.train;
    let targets = |s: &Shape| s.hardest.min((s.rows as f64 * train) as u64);
    let made = u64::from(settings.rewrites);
    let baseline = shapes.iter().map(|s| {
        let rows = (s.rows as f64 * train).round() as u64;
        (
            rows * u64::from(settings.repeats),
            s.read + s.continuations,
            s.writes,
        )
    });
    let mut out = vec![sum("baseline", spec, TARGET, baseline)];
    for round in 1..=settings.rounds {
        let seen = u64::from(round - 1) * made;
        out.extend(round_stages(
            spec,
            settings,
            shapes,
            &format!("round {round}"),
            made,
            seen,
        ));
    }
    if settings.placebo {
        let all = made * u64::from(settings.rounds);
        out.extend(round_stages(spec, settings, shapes, "placebo", all, 0));
    }
    let arms = if settings.placebo { 3 } else { 2 };
    let fresh = shapes
        .iter()
        .map(|s| match s.writes || s.continuations == 0.0 {
            true => (
                targets(s) * arms * u64::from(settings.confirm_repeats),
                s.read,
                s.writes,
            ),
            false => (
                targets(s) * arms * u64::from(settings.confirm_repeats),
                s.read + s.continuations,
                false,
            ),
        });
    out.push(sum("confirming", spec, TARGET, fresh));
    out
}

/// The search's calls, what is written for it, and the last evaluation of two prompts. Demonstrations make prompts longer.
fn instruct(spec: &Spec, plan: &InstructPlan, shapes: &[Shape]) -> Vec<Stage> {
    let shown = |s: &Shape| s.read + s.continuations + s.words * plan.shots as f64 / 2.0;
    let written = u64::from(plan.bearing) * u64::from(plan.candidates);
    let asked = shapes
        .iter()
        .map(|s| (written, meta_tokens() + 4.0 * s.words, true));
    let tried = shapes.iter().map(|s| (plan.calls, shown(s), s.writes));
    let last = shapes
        .iter()
        .map(|s| (last_calls(spec, plan, s), shown(s), s.writes));
    vec![
        sum("writing", spec, PROPOSER, asked),
        sum("searching", spec, TARGET, tried),
        sum("last evaluation", spec, TARGET, last),
    ]
}

fn last_calls(spec: &Spec, plan: &InstructPlan, shape: &Shape) -> u64 {
    let rows = |share: f64| (shape.rows as f64 * share).round() as u64;
    let test = rows(spec.splits.test) * u64::from(plan.test_repeats);
    2 * (rows(spec.splits.validation) + test)
}

/// Answers that get their grades afterwards: all, and those of other prompts than the one that gains are measured against.
fn answers(spec: &Spec, settings: &Settings, s: &Shape) -> (u64, u64) {
    let repeats = u64::from(settings.repeats);
    match (settings.kind, &settings.instruct) {
        (RunKind::Evaluate, _) if settings.compares_rewriters() => {
            let rows = (s.rows as f64 * share(spec)).round() as u64 * repeats;
            let names = settings.eval.rewriters.len() as u64;
            (rows * (3 + names), rows * (1 + names))
        }
        (RunKind::Evaluate, _) => {
            let asked = s.rows * settings.eval.models.len() as u64 * repeats;
            let prompts = settings.eval.prompts.len() as u64;
            (asked * prompts, asked * prompts.saturating_sub(1))
        }
        (RunKind::Optimise, Some(plan)) => {
            let last = last_calls(spec, plan, s);
            let rivals = plan.calls.saturating_sub(plan.calls_until(0));
            (plan.calls + last, rivals + last / 2)
        }
        (RunKind::Optimise, None) => {
            let train = s.rows as f64 * spec.splits.train;
            let targets = s.hardest.min(train as u64);
            let arms = if settings.placebo { 3 } else { 2 };
            let tried = u64::from(settings.rewrites * settings.rounds) * repeats * (arms - 1);
            let fresh = u64::from(settings.confirm_repeats);
            let all = train.round() as u64 * repeats + targets * (tried + fresh * arms);
            (all, targets * (tried + fresh * (arms - 1)))
        }
    }
}

/// What judges are asked: every answer beside the one that it is compared with, in both orders. Answers that are the same
/// need no judge, so that it may be fewer.
fn judging(spec: &Spec, settings: &Settings, shapes: &[Shape]) -> Vec<Stage> {
    let target = spec.target().and_then(Model::sampling);
    let written = target.map_or(0.0, |s| REPLY_SHARE * f64::from(s.max_tokens));
    let nothing = Pair {
        question: "",
        reference: None,
        candidate: "",
        original: "",
    };
    let told = judge::messages(&nothing, judge::RUBRIC, Order::CandidateFirst);
    let frame = told.iter().map(|m| m.content.len()).sum::<usize>() as f64 / BYTES_PER_TOKEN;
    let of = |name: &str| {
        let own = shapes.iter().filter(|s| s.judge.as_deref() == Some(name));
        let asked = own.map(|s| {
            let (_, rivals) = answers(spec, settings, s);
            (2 * rivals, frame + s.words + 2.0 * written, true)
        });
        sum(&format!("{name} comparing"), spec, name, asked)
    };
    settings.judges().into_iter().map(of).collect()
}

/// What a reward model reads: every answer once. It calls nobody and costs nothing but time.
fn scoring(spec: &Spec, settings: &Settings, shapes: &[Shape]) -> Option<Stage> {
    let longest = |m: &Model| m.sampling().map(|s| f64::from(s.max_tokens));
    let written = REPLY_SHARE * spec.models.values().filter_map(longest).fold(0.0, f64::max);
    let scored: Vec<&Shape> = shapes.iter().filter(|s| s.scored).collect();
    let all = |s: &Shape| answers(spec, settings, s).0;
    let n: u64 = scored.iter().map(|s| all(s)).sum();
    let tokens = |s: &&Shape| all(s) as f64 * (s.words + written);
    (n > 0).then(|| Stage {
        stage: format!("scoring {} answers", thousands(n)),
        seconds: scored.iter().map(tokens).sum::<f64>() / REWARD_SPEED,
        ..Stage::default()
    })
}

fn round_stages(
    spec: &Spec,
    settings: &Settings,
    shapes: &[Shape],
    name: &str,
    made: u64,
    seen: u64,
) -> [Stage; 2] {
    let train = spec.splits.train;
    let targets = move |s: &Shape| s.hardest.min((s.rows as f64 * train) as u64) * made;
    let frame = meta_tokens();
    let ask = shapes
        .iter()
        .map(|s| (targets(s), frame + s.words * (1 + seen) as f64, true));
    let tries = shapes.iter().map(|s| {
        (
            targets(s) * u64::from(settings.repeats),
            s.read + s.continuations,
            s.writes,
        )
    });
    [
        sum(&format!("{name} writing"), spec, PROPOSER, ask),
        sum(&format!("{name} trying"), spec, TARGET, tries),
    ]
}

/// Tokens of what a proposer is told beside the question.
fn meta_tokens() -> f64 {
    let ctx = ProposeContext {
        original: "",
        kind: TaskKind::Open,
        trajectory: &[],
        max_chars: 1200,
    };
    let told = Operator::Improve.messages(&ctx);
    told.iter().map(|m| m.content.len()).sum::<usize>() as f64 / BYTES_PER_TOKEN
}

/// Adds up `(calls, tokens read each, whether a reply is written)`.
fn sum(
    name: &str,
    spec: &Spec,
    model: &str,
    asked: impl Iterator<Item = (u64, f64, bool)>,
) -> Stage {
    let Some(config) = spec.models.get(model) else {
        return Stage::default();
    };
    let longest = config.sampling().map_or(0.0, |s| f64::from(s.max_tokens));
    let (mut calls, mut read, mut written) = (0, 0.0, 0.0);
    for (n, tokens, writes) in asked {
        calls += n;
        read += n as f64 * tokens;
        written += if writes {
            n as f64 * longest * REPLY_SHARE
        } else {
            0.0
        };
    }
    let (price_in, price_out) = config.prices();
    let seconds = match config {
        Model::Http(http) => HTTP_SECONDS * calls as f64 / http.concurrency.max(1) as f64,
        Model::Local(_) | Model::Reward(_) => read / LOCAL_SPEED.0 + written / LOCAL_SPEED.1,
    };
    Stage {
        stage: name.to_owned(),
        calls,
        tokens: (read + written) as u64,
        cost_usd: (read * price_in + written * price_out) / 1e6,
        seconds,
    }
}
