//! One task: decode, score, report.

use crate::scorer::{Pair, Scored, Scorer, Unscored};
use async_trait::async_trait;
use bytes::Bytes;
use domain::{call::Reply, hash::Hash, reward, run::Attempt};
use runtime::{
    given_up::GivenUp,
    heart::Heart,
    work::{Handled, Handler, message},
};
use std::{collections::HashMap, sync::Arc};
use wire::{Action, Counted, ItemError, Report, ReportItem, ScoreBody, ScoreItem, Task, VERSION};

/// Handles `score` tasks.
pub struct ScoreHandler {
    worker: String,
    /// By what their models are, not by what a spec calls them.
    scorers: HashMap<String, Scorer>,
    heart: Heart,
    given_up: Arc<GivenUp>,
}

impl ScoreHandler {
    pub fn new(worker: String, scorers: Vec<Scorer>, heart: Heart, given_up: Arc<GivenUp>) -> Self {
        let by_identity = |scorer: Scorer| (scorer.identity().to_owned(), scorer);
        Self {
            worker,
            scorers: scorers.into_iter().map(by_identity).collect(),
            heart,
            given_up,
        }
    }

    async fn work(&self, task: &Task, body: &ScoreBody) -> Vec<ReportItem> {
        let Some(scorer) = self.scorers.get(&body.identity) else {
            return all(task, body, &self.unknown(body));
        };
        let (mut items, mut places, mut pairs) = (Vec::new(), Vec::new(), Vec::new());
        for (place, item) in open(task, body) {
            match pair(task, place, item) {
                Ok(pair) => {
                    places.push((place, item.key));
                    pairs.push(pair);
                }
                Err(e) => items.push(failed(place, item.key, &e)),
            }
        }
        let scored = scorer.score(pairs).await;
        items.extend(places.into_iter().zip(scored).map(reported));
        items
    }

    /// Another worker may have the model: the task is tried again, and its run pauses when nobody has.
    fn unknown(&self, body: &ScoreBody) -> Unscored {
        Unscored {
            message: format!(
                "worker {} does not have reward model {:?} ({}): give it the run's [models.{}]",
                self.worker, body.model, body.identity, body.model
            ),
            retryable: true,
        }
    }

    fn report(&self, task: &Task, items: Vec<ReportItem>) -> Handled {
        let report = Report {
            v: VERSION,
            task: task.task,
            epoch: task.epoch,
            worker: self.worker.clone(),
            counted: Counted::default(),
            items,
        };
        Handled::Report(message(&report))
    }
}

fn open<'a>(task: &'a Task, body: &'a ScoreBody) -> impl Iterator<Item = (u32, &'a ScoreItem)> {
    let open = task.open.iter();
    open.filter_map(|&place| Some((place, body.items.get(place as usize)?)))
}

/// The question and the answer at a place.
fn pair(task: &Task, place: u32, item: &ScoreItem) -> Result<Pair, Unscored> {
    match task.known.get(&place) {
        Some(Reply::Text { text }) => Ok(Pair {
            question: item.question.clone(),
            answer: text.clone(),
        }),
        Some(Reply::Scores { .. }) => Err(Unscored {
            message: "a reward model reads a written answer, but log-likelihoods are stored"
                .to_owned(),
            retryable: false,
        }),
        None => Err(Unscored {
            message: "the task came without the answer that it is to score".to_owned(),
            retryable: true,
        }),
    }
}

fn reported(((place, key), scored): ((u32, Hash), Result<Scored, Unscored>)) -> ReportItem {
    match scored {
        Ok(scored) => ReportItem {
            grade: Some(reward::grade(scored.reward, scored.cut)),
            ..bare(place, key)
        },
        Err(e) => failed(place, key, &e),
    }
}

fn failed(place: u32, key: Hash, error: &Unscored) -> ReportItem {
    let action = match error.retryable {
        true => Action::Retry { after_ms: 0 },
        false => Action::GiveUp,
    };
    ReportItem {
        error: Some(ItemError {
            action,
            message: error.message.clone(),
        }),
        ..bare(place, key)
    }
}

/// The same error for every open item.
fn all(task: &Task, body: &ScoreBody, error: &Unscored) -> Vec<ReportItem> {
    open(task, body)
        .map(|(place, item)| failed(place, item.key, error))
        .collect()
}

fn bare(place: u32, key: Hash) -> ReportItem {
    ReportItem {
        place,
        key,
        answer: None,
        grade: None,
        error: None,
        paid: None,
    }
}

#[async_trait]
impl Handler for ScoreHandler {
    /// Scoring twice costs nothing but time: what somebody may have had in hand before is worked on like anything else.
    async fn handle(&self, message: Bytes, _redelivered: bool) -> Handled {
        let (task, body) = match Task::decode_score(&message) {
            Ok(decoded) => decoded,
            Err(e) => return Handled::Reject(e.to_string()),
        };
        let _held = self.heart.hold(Attempt {
            task: task.task,
            epoch: task.epoch,
        });
        tokio::select! {
            biased;
            () = self.given_up.wait(body.run) => Handled::Unwanted,
            items = self.work(&task, &body) => self.report(&task, items),
        }
    }

    fn poisoned(&self, message: Bytes) -> Handled {
        let (task, body) = match Task::decode_score(&message) {
            Ok(decoded) => decoded,
            Err(e) => return Handled::Reject(e.to_string()),
        };
        let error = Unscored {
            message: "the worker failed again and again on this block: see its log".to_owned(),
            retryable: false,
        };
        self.report(&task, all(&task, &body, &error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scripted::Scripted;
    use domain::{call::Score, ids::RunId};
    use wire::Work;

    fn task(identity: &str) -> Bytes {
        let run = RunId::new();
        let item = |name: &str| ScoreItem {
            key: Hash::of([name]),
            question: format!("{name}?"),
        };
        let body = ScoreBody {
            work: Work::Score,
            run,
            model: "reward".into(),
            identity: identity.into(),
            items: ["a", "b", "c", "d"].map(item).to_vec(),
        };
        let text = |text: &str| Reply::Text { text: text.into() };
        let numbers = Reply::Scores {
            scores: vec![Score {
                logprob: -1.0,
                tokens: 1,
            }],
        };
        let task = Task {
            v: VERSION,
            task: run.task("t"),
            epoch: 3,
            open: vec![0, 2, 3],
            known: [
                (0, text("an answer")),
                (1, text("closed before")),
                (2, numbers),
            ]
            .into(),
            terms: None,
            body: serde_json::value::to_raw_value(&body).unwrap(),
        };
        Bytes::from(task.encode())
    }

    async fn handled(message: Bytes) -> Report {
        let heart = Heart::default();
        let scorer = Scripted::new("s", |question, answer| {
            (question.len() + answer.len()) as f32
        });
        let scorers = vec![scorer.start()];
        let handler = ScoreHandler::new("w".into(), scorers, heart.clone(), Arc::default());
        let Handled::Report(message) = handler.handle(message, false).await else {
            panic!("rejected");
        };
        assert_eq!(heart.in_hand(), []);
        Report::decode(&message.body).unwrap()
    }

    #[tokio::test]
    async fn open_answers_are_scored_and_the_rest_says_why_not() {
        let mut report = handled(task("s")).await;
        report.items.sort_by_key(|i| i.place);
        let [good, numbers, absent] = report.items.as_slice() else {
            panic!("{report:?}");
        };
        assert_eq!((report.epoch, good.place), (3, 0));
        assert_eq!(good.grade, Some(reward::grade(11.0, false)));
        assert!(good.answer.is_none() && good.paid.is_none());
        let error = |item: &ReportItem| item.error.clone().unwrap();
        assert_eq!(error(numbers).action, Action::GiveUp);
        assert_eq!(error(absent).action, Action::Retry { after_ms: 0 });
        assert!(numbers.grade.is_none() && absent.grade.is_none());
    }

    #[tokio::test]
    async fn a_model_that_only_others_have_is_left_to_them() {
        let report = handled(task("another")).await;
        assert_eq!(report.items.len(), 3);
        let error = report.items[0].error.as_ref().unwrap();
        assert_eq!(error.action, Action::Retry { after_ms: 0 });
        assert!(
            error.message.contains("\"reward\" (another)"),
            "{}",
            error.message
        );
    }

    #[tokio::test]
    async fn what_cannot_be_read_is_rejected_with_the_reason() {
        let handler = ScoreHandler::new("w".into(), Vec::new(), Heart::default(), Arc::default());
        let newer = String::from_utf8(task("s").to_vec()).unwrap();
        let newer = newer.replacen("\"v\":1", "\"v\":9", 1);
        let Handled::Reject(reason) = handler.handle(newer.into(), false).await else {
            panic!("worked on");
        };
        assert!(reason.contains("version 9"), "{reason}");
    }
}
