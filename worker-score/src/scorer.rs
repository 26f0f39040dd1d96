//! The model on its thread: what arrives together is sorted by length and computed in batches.

use crate::reward::{Encoded, RewardModel};
use std::{
    io,
    ops::Range,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        mpsc::{Receiver, Sender, channel},
    },
    thread,
    time::Duration,
};
use tokio::sync::oneshot;

/// How long a first task waits for others that arrive with it.
const LINGER: Duration = Duration::from_millis(2);

/// How texts are put together.
#[derive(Clone, Copy, Debug)]
pub struct Batching {
    /// A batch has at most so many tokens; one text alone may have more.
    pub tokens: usize,
}

impl Default for Batching {
    fn default() -> Self {
        Self { tokens: 4_096 }
    }
}

/// A question and an answer to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// What was asked.
    pub question: String,
    /// What was answered.
    pub answer: String,
}

/// A reward.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scored {
    /// The reward: finite.
    pub reward: f64,
    /// Whether the model did not see the whole text.
    pub cut: bool,
}

/// Why there is no reward.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Unscored {
    /// One sentence.
    pub message: String,
    /// Whether the same pair may be scored later.
    pub retryable: bool,
}

/// The rewards of a task's pairs, in their order.
type Answers = Vec<Result<Scored, Unscored>>;

/// The pairs of a task, and who waits for their rewards.
struct Job {
    pairs: Vec<Pair>,
    waiting: oneshot::Sender<Answers>,
}

/// A model on its thread. Clones share it; the thread ends with the last of them.
#[derive(Clone, Debug)]
pub struct Scorer {
    identity: Arc<str>,
    jobs: Sender<Job>,
}

impl Scorer {
    /// Moves a model to a thread of its own.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start<M: RewardModel>(model: M, batching: Batching) -> io::Result<Self> {
        let identity = model.identity().into();
        let (jobs, waiting) = channel();
        let thread = thread::Builder::new().name("reward".into());
        thread.spawn(move || work(model, batching, &waiting))?;
        Ok(Self { identity, jobs })
    }

    /// What the model is.
    pub fn identity(&self) -> &str {
        &self.identity
    }

    /// The rewards of some pairs, one for each, in their order. Dropped before they are there, they are not computed.
    pub async fn score(&self, pairs: Vec<Pair>) -> Vec<Result<Scored, Unscored>> {
        let n = pairs.len();
        let (waiting, answers) = oneshot::channel();
        let sent = self.jobs.send(Job { pairs, waiting });
        let gone = || Unscored {
            message: "the reward model's thread has ended: see the worker's log".to_owned(),
            retryable: true,
        };
        match sent {
            Ok(()) => answers.await.unwrap_or_else(|_| vec![Err(gone()); n]),
            Err(_) => vec![Err(gone()); n],
        }
    }
}

/// Scores what comes until nobody can send any more.
fn work<M: RewardModel>(mut model: M, batching: Batching, jobs: &Receiver<Job>) {
    while let Ok(first) = jobs.recv() {
        let mut round = vec![first];
        if let Ok(next) = jobs.recv_timeout(LINGER) {
            round.push(next);
        }
        round.extend(jobs.try_iter());
        // A task that was let go meanwhile.
        round.retain(|job| !job.waiting.is_closed());
        together(&mut model, batching, round);
    }
}

/// A text of some job.
struct Place<T> {
    job: usize,
    pair: usize,
    encoded: Encoded<T>,
}

fn together<M: RewardModel>(model: &mut M, batching: Batching, jobs: Vec<Job>) {
    let unread = |message: String| Unscored {
        message,
        retryable: false,
    };
    let mut answers: Vec<Answers> = Vec::with_capacity(jobs.len());
    let mut texts: Vec<Place<M::Text>> = Vec::new();
    for (job, asked) in jobs.iter().enumerate() {
        let mut own = Vec::with_capacity(asked.pairs.len());
        for (pair, Pair { question, answer }) in asked.pairs.iter().enumerate() {
            match model.encode(question, answer) {
                Ok(encoded) => {
                    own.push(Err(unread(String::new())));
                    texts.push(Place { job, pair, encoded });
                }
                Err(message) => own.push(Err(unread(message))),
            }
        }
        answers.push(own);
    }
    // The longest first: if memory is short, that shows at once.
    texts.sort_by_key(|t| std::cmp::Reverse(t.encoded.tokens));
    let lengths: Vec<usize> = texts.iter().map(|t| t.encoded.tokens).collect();
    let cut = texts.iter().filter(|t| t.encoded.cut).count();
    metrics::counter!("promptimal_texts_cut_total").increment(cut as u64);
    let (places, bodies): (Vec<_>, Vec<_>) = texts
        .into_iter()
        .map(|t| ((t.job, t.pair, t.encoded.cut), t.encoded.text))
        .unzip();
    for batch in batches(&lengths, batching) {
        let rewards = scored(model, &bodies[batch.clone()]);
        for ((job, pair, cut), reward) in places[batch].iter().zip(rewards) {
            answers[*job][*pair] = reward.map(|reward| Scored { reward, cut: *cut });
        }
    }
    for (job, answers) in jobs.into_iter().zip(answers) {
        // Whoever asked may be gone.
        let _ = job.waiting.send(answers);
    }
}

/// Which texts are computed together; their lengths come sorted, the longest first.
fn batches(lengths: &[usize], batching: Batching) -> Vec<Range<usize>> {
    let (mut out, mut tokens) = (Vec::<Range<usize>>::new(), 0);
    for (at, length) in lengths.iter().enumerate() {
        tokens += length;
        match out.last_mut() {
            Some(batch) if tokens <= batching.tokens => batch.end = at + 1,
            _ => {
                out.push(at..at + 1);
                tokens = *length;
            }
        }
    }
    out
}

/// One batch. If it fails, its texts are tried one by one: what one of them cannot do must not cost the others.
fn scored<M: RewardModel>(model: &mut M, batch: &[M::Text]) -> Vec<Result<f64, Unscored>> {
    let began = std::time::Instant::now();
    let result = computed(model, batch);
    metrics::histogram!("promptimal_score_batch_seconds").record(began.elapsed());
    metrics::counter!("promptimal_texts_scored_total").increment(batch.len() as u64);
    match result {
        Ok(rewards) => rewards.into_iter().map(finite).collect(),
        Err(error) if batch.len() > 1 => {
            tracing::warn!(
                error = error.message,
                texts = batch.len(),
                "a batch failed, trying its texts alone"
            );
            let one = |text| computed(model, std::slice::from_ref(text)).and_then(|r| finite(r[0]));
            batch.iter().map(one).collect()
        }
        Err(error) => vec![Err(error)],
    }
}

fn computed<M: RewardModel>(model: &mut M, batch: &[M::Text]) -> Result<Vec<f32>, Unscored> {
    let failed = |message: String| Unscored {
        message: format!("the reward model failed: {message}"),
        retryable: true,
    };
    // A panic must not end the thread that every later task needs.
    let result = catch_unwind(AssertUnwindSafe(|| model.score(batch)));
    let rewards = match result {
        Ok(rewards) => rewards.map_err(failed)?,
        Err(_) => return Err(failed("it panicked, see the worker's log".to_owned())),
    };
    match rewards.len() == batch.len() {
        true => Ok(rewards),
        false => Err(failed(format!(
            "{} rewards came for {} texts",
            rewards.len(),
            batch.len()
        ))),
    }
}

/// What is no number is no grade.
fn finite(reward: f32) -> Result<f64, Unscored> {
    match reward.is_finite() {
        true => Ok(f64::from(reward)),
        false => Err(Unscored {
            message: format!("the reward model gave {reward} for this answer, which is no grade"),
            retryable: false,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scripted::Scripted;
    use proptest::prelude::*;
    use std::sync::Mutex;

    fn pair(answer: &str) -> Pair {
        Pair {
            question: "q".into(),
            answer: answer.into(),
        }
    }

    fn pairs(answers: &[&str]) -> Vec<Pair> {
        answers.iter().map(|a| pair(a)).collect()
    }

    fn rewards(answers: Vec<Result<Scored, Unscored>>) -> Vec<f64> {
        answers.into_iter().map(|a| a.unwrap().reward).collect()
    }

    #[tokio::test]
    async fn rewards_come_back_in_the_order_asked() {
        let scorer = Scripted::new("s", |_, answer| answer.len() as f32).start();
        let asked = pairs(&["four", "a", "seven77", ""]);
        assert_eq!(rewards(scorer.score(asked).await), [4.0, 1.0, 7.0, 0.0]);
        assert_eq!(scorer.score(Vec::new()).await, []);
    }

    /// Two tasks that arrive while the model is busy are computed in one batch.
    #[tokio::test]
    async fn what_arrives_together_is_computed_together() {
        let seen: Arc<Mutex<Vec<usize>>> = Arc::default();
        let (note, gate) = (seen.clone(), Arc::new(Mutex::new(())));
        let held = gate.lock().unwrap();
        let closed = gate.clone();
        let model = Scripted::new("s", |_, answer| answer.len() as f32).watched(move |batch| {
            note.lock().unwrap().push(batch);
            drop(closed.lock());
        });
        let scorer = model.start();
        let ask = |n: usize| {
            let scorer = scorer.clone();
            tokio::spawn(async move { scorer.score(vec![pair(&"x".repeat(n)); 2]).await })
        };
        let first = ask(1);
        while seen.lock().unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
        let rest = [ask(2), ask(3)];
        // Both are in the channel once they have run up to their wait.
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        drop(held);
        first.await.unwrap();
        for (task, n) in rest.into_iter().zip([2.0, 3.0]) {
            assert_eq!(rewards(task.await.unwrap()), [n, n]);
        }
        assert_eq!(*seen.lock().unwrap(), [2, 4]);
    }

    #[tokio::test]
    async fn what_is_no_number_is_no_grade_and_costs_no_neighbour() {
        let scorer = Scripted::new("s", |_, answer| match answer {
            "nan" => f32::NAN,
            "inf" => f32::NEG_INFINITY,
            _ => 1.0,
        })
        .start();
        let got = scorer.score(pairs(&["nan", "good", "inf"])).await;
        assert_eq!(got[1].as_ref().unwrap().reward, 1.0);
        for (at, word) in [(0, "NaN"), (2, "-inf")] {
            let error = got[at].as_ref().unwrap_err();
            assert!(!error.retryable && error.message.contains(word), "{error}");
        }
    }

    #[tokio::test]
    async fn a_batch_that_panics_is_tried_one_by_one() {
        let scorer = Scripted::new("s", |_, answer| {
            assert!(answer != "bad", "poison");
            2.0
        })
        .start();
        let got = scorer.score(pairs(&["good", "bad", "fine"])).await;
        let error = got[1].as_ref().unwrap_err();
        assert!(
            error.retryable && error.message.contains("panicked"),
            "{error}"
        );
        assert!(got[0].is_ok() && got[2].is_ok());
        assert_eq!(rewards(scorer.score(pairs(&["later"])).await), [2.0]);
    }

    #[tokio::test]
    async fn a_long_text_is_cut_and_told() {
        let scorer = Scripted::new("s", |_, answer| answer.len() as f32)
            .reading(3)
            .start();
        let got = scorer.score(pairs(&["long text", "ok"])).await;
        let got: Vec<Scored> = got.into_iter().map(Result::unwrap).collect();
        assert_eq!((got[0].cut, got[0].reward), (true, 3.0));
        assert!(!got[1].cut);
    }

    proptest! {
        /// Every text is in one batch, and none is larger than it may be.
        #[test]
        fn batches_hold_every_text_once(mut lengths in prop::collection::vec(0..600usize, 0..200), tokens in 1..3_000usize) {
            lengths.sort_by(|a, b| b.cmp(a));
            let made = batches(&lengths, Batching { tokens });
            let all: Vec<usize> = made.iter().flat_map(Clone::clone).collect();
            prop_assert_eq!(all, (0..lengths.len()).collect::<Vec<_>>());
            for batch in made {
                let sum: usize = lengths[batch.clone()].iter().sum();
                prop_assert!(batch.len() == 1 || sum <= tokens);
            }
        }
    }
}
