//! The play: five runs through plan, claim, report, failure and loss, by the store's own traits.

use super::{
    cast::{self, BEGIN, SECOND, number},
    fates::{self, Fates},
    plan::{New, Question},
};
use crate::{Result, Run, RunModel, StatusChange, Store};
use domain::{
    candidate::{Arm, Candidate, Target, Verdict},
    example::Example,
    ids::{CandidateId, TaskId},
    prompt::PromptDoc,
    run::{Item, Limits, Member, Pair, RoundKind, RunKind, RunStatus, Step, StepKey},
};
use std::collections::HashMap;
use wire::Loss;

/// A question that is easy enough: it is no target of the search.
const SPARED: &str = "Which river is widest?";
/// Fresh draws.
const FRESH: u32 = 1000;

/// What a stage returns.
pub type Done<T = ()> = Result<T>;

/// Fills a store with runs: one that ended well after much trouble (`demo`), one over the same data (`again`), an
/// evaluation in which a task died (`prompts`), one that failed (`broken`), one under way (`waiting`).
///
/// # Errors
/// When the store fails.
pub async fn fill(store: &dyn Store) -> Done {
    let limits = Limits {
        calls: Some(2000),
        tokens: Some(1_000_000),
        cost_micros: Some(5_000_000),
    };
    let run = cast::run(1, "demo", RunKind::Optimise);
    let mut demo = Stage::open(store, run, &limits, fates::MIXED).await?;
    demo.search(3, 4).await?;
    demo.train(5).await?;
    let more = Limits {
        calls: Some(3000),
        ..limits
    };
    store.add_limits(demo.run.id, &more, demo.now).await?;
    demo.end(RunStatus::Finished, None).await?;

    let run = cast::run(2, "again", RunKind::Optimise);
    let mut again = Stage::open(store, run, &Limits::default(), fates::CALM).await?;
    again.search(1, 3).await?;
    again.end(RunStatus::Finished, None).await?;

    let run = cast::run(3, "prompts", RunKind::Evaluate);
    let mut prompts = Stage::open(store, run, &limits, fates::ONE_DIES).await?;
    prompts.evaluate().await?;
    prompts
        .end(RunStatus::Paused, Some("a task died: see sql"))
        .await?;

    let run = cast::run(4, "broken", RunKind::Optimise);
    let mut broken = Stage::open(store, run, &Limits::default(), fates::DIES).await?;
    broken.lone("tiny").await?;
    broken.work().await?;
    broken
        .end(RunStatus::Failed, Some("nobody answers at the endpoint"))
        .await?;

    let run = cast::run(5, "waiting", RunKind::Evaluate);
    let mut waiting = Stage::open(store, run, &limits, fates::WAITS).await?;
    waiting.lone("huge").await?;
    waiting.turn().await?;
    Ok(())
}

/// A task as it was planned.
pub struct Asked {
    pub place: String,
    pub items: Vec<Item>,
    pub model: String,
}

/// A run under way.
pub struct Stage<'a> {
    pub store: &'a dyn Store,
    pub run: Run,
    pub now: i64,
    pub fates: Fates,
    pub members: Vec<(Member, Example)>,
    pub candidates: HashMap<CandidateId, Candidate>,
    pub asked: HashMap<TaskId, Asked>,
    pub attempts: HashMap<TaskId, usize>,
}

impl<'a> Stage<'a> {
    async fn open(store: &'a dyn Store, run: Run, limits: &Limits, fates: Fates) -> Done<Self> {
        store.create_run(&run, limits).await?;
        let model = RunModel {
            name: "target".to_owned(),
            model: "the target".to_owned(),
            quota: None,
        };
        store.use_models(run.id, &[model]).await?;
        let members = cast::members();
        store.add_examples(run.id, &members).await?;
        Ok(Self {
            store,
            now: run.created_at + SECOND,
            run,
            fates,
            members,
            candidates: HashMap::new(),
            asked: HashMap::new(),
            attempts: HashMap::new(),
        })
    }

    async fn end(&mut self, to: RunStatus, reason: Option<&str>) -> Done {
        let change = StatusChange {
            run: self.run.id,
            from: RunStatus::Running,
            to,
            reason: reason.map(str::to_owned),
            now: self.now + SECOND,
        };
        self.store.set_status(&change).await?;
        self.store.set_summary(self.run.id, "{}").await
    }

    /// The whole walk of a search over the first targets of all datasets.
    async fn search(&mut self, rounds: u32, rewrites: u32) -> Done {
        let targets = self.baseline("target").await?;
        let hard: Vec<Target> = targets
            .into_iter()
            .filter(|t| self.example(t).input != SPARED)
            .collect();
        for round in 1..=rounds {
            let at = (RoundKind::Search, round);
            self.round(&hard, at, rewrites).await?;
        }
        let at = (RoundKind::Placebo, rounds + 1);
        self.round(&hard, at, 2).await?;
        self.confirm(&hard, rounds + 2).await
    }

    /// Every example unchanged.
    async fn baseline(&mut self, model: &str) -> Done<Vec<Target>> {
        let of = |m| cast::target(self.run.id, model, m);
        let targets: Vec<Target> = self.members.iter().map(of).collect();
        let originals: Vec<Candidate> = targets
            .iter()
            .map(|t| cast::original(self.run.id, t))
            .collect();
        let questions: Vec<Question> = targets
            .iter()
            .zip(&originals)
            .flat_map(|(t, c)| self.draws(t, c, 0..2))
            .collect();
        let new = New {
            targets: &targets,
            candidates: &originals,
            ..New::default()
        };
        let at = (RoundKind::Baseline, 0, Step::Answer);
        self.plan(at, new, questions).await?;
        if model == "target" {
            self.work().await?;
        }
        Ok(targets)
    }

    /// A baseline that is not worked at.
    async fn lone(&mut self, model: &str) -> Done {
        self.baseline(model).await.map(drop)
    }

    /// Propose, guard, answer.
    async fn round(
        &mut self,
        targets: &[Target],
        (kind, round): (RoundKind, u32),
        rewrites: u32,
    ) -> Done {
        let arm = match kind {
            RoundKind::Placebo => Arm::Placebo,
            _ => Arm::Search,
        };
        let proposals = targets
            .iter()
            .flat_map(|t| (0..rewrites).map(|n| self.proposal(t, round, n)));
        let proposals = proposals.collect();
        let at = (kind, round, Step::Propose);
        self.plan(at, New::default(), proposals).await?;
        self.work().await?;

        let made: Vec<Candidate> = targets
            .iter()
            .flat_map(|t| (0..rewrites).map(|n| self.rewrite(t, (arm, round, n))))
            .collect();
        let open = made.iter().filter(|c| c.verdict == Verdict::Proposed);
        let open: Vec<Candidate> = open.cloned().collect();
        let probes = open.iter().map(|c| self.probe(targets, c)).collect();
        let new = New {
            candidates: &made,
            ..New::default()
        };
        let at = (kind, round, Step::Guard);
        self.plan(at, new, probes).await?;
        self.work().await?;

        let verdicts: Vec<_> = open.iter().map(|c| (c.id, cast::guarded(c))).collect();
        for (id, verdict) in &verdicts {
            if let Some(candidate) = self.candidates.get_mut(id) {
                candidate.verdict = verdict.clone();
            }
        }
        let tried: Vec<Question> = targets
            .iter()
            .flat_map(|t| self.accepted(t, arm).into_iter().map(move |c| (t, c)))
            .filter(|(_, c)| c.round == round)
            .flat_map(|(t, c)| self.draws(t, &c, 0..2))
            .collect();
        let new = New {
            verdicts: &verdicts,
            ..New::default()
        };
        self.plan((kind, round, Step::Answer), new, tried).await?;
        self.work().await
    }

    /// Originals, winners and placebos on fresh draws, and the pairs that come of it.
    async fn confirm(&mut self, targets: &[Target], round: u32) -> Done {
        let mut questions = vec![];
        let mut winners = vec![];
        for target in targets {
            let original = cast::original(self.run.id, target);
            let winner = self.best(target, Arm::Search);
            let field = [
                Some(original),
                winner.clone(),
                self.best(target, Arm::Placebo),
            ];
            for candidate in field.iter().flatten() {
                questions.extend(self.draws(target, candidate, FRESH..FRESH + 4));
            }
            winners.extend(winner.map(|w| (target.clone(), w)));
        }
        let kind = RoundKind::Confirm;
        let at = (kind, round, Step::Answer);
        self.plan(at, New::default(), questions).await?;
        self.work().await?;
        let mut pairs = vec![];
        for (target, winner) in winners {
            pairs.extend(self.pair(&target, &winner, round).await?);
        }
        self.store.add_pairs(self.run.id, &pairs).await
    }

    /// A small model learns from what came of it.
    async fn train(&mut self, round: u32) -> Done {
        let target = cast::target(self.run.id, "target", &self.members[0]);
        let training = Question {
            model: "small".to_owned(),
            grader: None,
            example: None,
            ..self.question(&target, None, 0, "learn to rewrite")
        };
        let key = training.key;
        let at = (RoundKind::Confirm, round, Step::Train);
        self.plan(at, New::default(), vec![training]).await?;
        self.work().await?;
        let row = |step: u32| Loss {
            step,
            loss: (step > 0).then_some(4.0 / f64::from(step)),
            validation: step.is_multiple_of(3).then_some(4.5 / f64::from(step + 1)),
        };
        let rows: Vec<Loss> = (0..=6).map(row).collect();
        self.store.note_losses(key, &rows, self.now).await
    }

    async fn pair(&self, target: &Target, winner: &Candidate, round: u32) -> Done<Option<Pair>> {
        let key = StepKey {
            run: self.run.id,
            round,
            step: Step::Answer,
        };
        let outcomes = self.store.outcomes(key, None, 10_000).await?;
        let mean = |candidate: CandidateId| {
            let of = outcomes
                .iter()
                .filter(|o| o.item.candidate == Some(candidate));
            let values: Vec<f64> = of
                .filter_map(|o| o.grade.as_ref())
                .map(|g| g.value)
                .collect();
            values.iter().sum::<f64>() / values.len() as f64
        };
        let original_grade = mean(cast::original(self.run.id, target).id);
        let improved_grade = mean(winner.id);
        let (grader, version) = cast::grader(&target.dataset);
        let pair = Pair {
            target: target.id,
            candidate: winner.id,
            original: self.example(target).input.clone(),
            improved: winner.doc.question.clone().unwrap_or_default(),
            original_grade,
            improved_grade,
            grader: format!("{grader}@{version}"),
            operator: winner.operator.clone(),
            round: winner.round,
            p_value: (number(winner.id.to_string()) % 16) as f64 / 256.0,
        };
        Ok((improved_grade > original_grade).then_some(pair))
    }

    /// Two prompts on two models.
    async fn evaluate(&mut self) -> Done {
        let (mut targets, mut prompts, mut questions) = (vec![], vec![], vec![]);
        for model in ["small", "large"] {
            let target = Target {
                example: None,
                ..cast::target(self.run.id, model, &self.members[0])
            };
            for (ordinal, name) in (0..).zip(["plain", "stepwise"]) {
                let prompt = Candidate {
                    id: self.run.id.candidate(&format!("{model}/{name}")),
                    ordinal,
                    author: name.to_owned(),
                    doc: PromptDoc {
                        system: Some(format!("Be {name}.")),
                        ..PromptDoc::default()
                    },
                    ..cast::original(self.run.id, &target)
                };
                let planets = self.members.iter().filter(|m| m.0.dataset == "planets");
                for (member, example) in planets {
                    let about = Target {
                        example: Some(member.example),
                        ..target.clone()
                    };
                    let words = format!("{name}: {}", example.input);
                    questions.push(self.question(&about, Some(&prompt), 0, &words));
                }
                prompts.push(prompt);
            }
            targets.push(target);
        }
        let new = New {
            targets: &targets,
            candidates: &prompts,
            ..New::default()
        };
        let at = (RoundKind::Baseline, 0, Step::Answer);
        self.plan(at, new, questions).await?;
        self.work().await
    }

    /// What a target is about.
    pub fn example(&self, target: &Target) -> &Example {
        let of = |m: &&(Member, Example)| Some(m.0.example) == target.example;
        let found = self.members.iter().find(of).unwrap_or(&self.members[0]);
        &found.1
    }

    /// A rewrite of the original; a crossover of what was accepted before, where something was, and every second one of
    /// the original too: so there are short ways and long ways back.
    fn rewrite(&self, target: &Target, at: (Arm, u32, u32)) -> Candidate {
        let mut made = cast::rewrite(self.run.id, &cast::original(self.run.id, target), at);
        let before = self.accepted(target, Arm::Search);
        let before = before.iter().filter(|c| c.round < at.1).map(|c| c.id);
        let parents: Vec<CandidateId> = before.collect();
        if made.operator.starts_with("crossover") && !parents.is_empty() {
            made.parents.retain(|_| at.2 % 4 == 3);
            made.parents.extend(parents);
        }
        made
    }

    fn accepted(&self, target: &Target, arm: Arm) -> Vec<Candidate> {
        let of = |c: &&Candidate| {
            c.target == target.id && c.arm == arm && c.verdict == Verdict::Accepted
        };
        let mut out: Vec<Candidate> = self.candidates.values().filter(of).cloned().collect();
        out.sort_by_key(|c| (c.round, c.ordinal));
        out
    }

    /// The best of an arm, where it is better than the original.
    fn best(&self, target: &Target, arm: Arm) -> Option<Candidate> {
        let example = self.example(target);
        let floor = cast::quality(&cast::original(self.run.id, target), example);
        let field = self.accepted(target, arm).into_iter();
        let best = field.max_by_key(|c| (cast::quality(c, example), c.id));
        best.filter(|c| cast::quality(c, example) >= floor)
    }
}

/// The first run begins on a full hour.
const _: () = assert!(BEGIN % (3600 * SECOND) == 0);
