//! The program whose instruction is searched for, and what it tells of its search.

use crate::{
    gateway::Gateway,
    job::Job,
    labels::verdict,
    turns::{INPUT, Turns, row, text},
};
use anyhow::Result;
use dspy_rs::{
    Example, FeedbackEvaluator, FeedbackMetric, LM, MetaSignature, Module, Optimizable, Predict,
    Prediction, Signature, adapter::Adapter,
};
use reqwest::StatusCode;
use serde_json::json;
use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
};

#[Signature]
struct Classify {
    /// The start prompt is put here.
    #[input]
    pub text: String,
    #[output]
    pub label: String,
}

/// A text, and the label that an instruction asks for.
pub fn signature(instruction: &str) -> Result<impl MetaSignature + 'static> {
    let mut signature = Classify::new();
    signature.update_instruction(instruction.to_owned())?;
    Ok(signature)
}

/// What is known of the task; examples carry their text alone.
pub struct Task {
    url: String,
    start: String,
    labels: Vec<String>,
    answers: HashMap<String, String>,
    validation: HashSet<String>,
}

impl Task {
    /// The first `validation` rows of the pool are the validation set.
    pub fn new(job: Job, validation: usize) -> Self {
        let texts = job.pool.iter().take(validation);
        Self {
            validation: texts.map(|(text, _)| text.clone()).collect(),
            answers: job.pool.into_iter().collect(),
            url: job.url,
            start: job.start,
            labels: job.labels,
        }
    }
}

#[derive(Optimizable)]
pub struct Classifier {
    #[parameter]
    predict: Predict,
    target: Arc<LM>,
    turns: Turns,
    task: Task,
    progress: Mutex<Progress>,
}

impl Classifier {
    pub fn new(task: Task, target: LM, gateway: Gateway) -> Result<Self> {
        Ok(Self {
            predict: Predict::new(signature(&task.start)?),
            target: Arc::new(target),
            turns: Turns(gateway),
            progress: Mutex::new(Progress::new(task.validation.len())),
            task,
        })
    }

    /// Tells the gateway of the instruction that has just been evaluated.
    async fn report(&self, validation: f64) {
        let signature = self.predict.signature.as_ref();
        let messages = self.turns.format(signature, row(INPUT)).to_json();
        let told = json!({ "messages": messages, "validation": validation });
        let url = format!("{}/incumbent", self.task.url);
        match self.turns.0.post(&url, &told).await {
            Ok((StatusCode::OK, _)) => {}
            other => eprintln!("an incumbent was not taken: {other:?}"),
        }
    }
}

impl Module for Classifier {
    async fn forward(&self, inputs: Example) -> Result<Prediction> {
        let (lm, signature) = (self.target.clone(), self.predict.signature.as_ref());
        self.turns.call(lm, signature, inputs, vec![]).await
    }
}

impl FeedbackEvaluator for Classifier {
    async fn feedback_metric(&self, example: &Example, prediction: &Prediction) -> FeedbackMetric {
        let input = text(&example.data, "text");
        let answer = &self.task.answers[&input];
        let reply = text(&prediction.data, "label");
        let right = verdict(&reply, &self.task.labels) == Some(answer);
        if self.task.validation.contains(&input) {
            let progress = self.progress.lock();
            let mean = progress
                .unwrap_or_else(PoisonError::into_inner)
                .scored(right);
            if let Some(mean) = mean {
                self.report(mean).await;
            }
        }
        FeedbackMetric::new(f32::from(u8::from(right)), feedback(right, answer))
    }
}

/// In the words of `methods/gepa.py`.
fn feedback(right: bool, answer: &str) -> String {
    match right {
        true => format!("The reply is right: it names '{answer}'."),
        false => format!("The reply is wrong. It must name exactly one label: '{answer}'."),
    }
}

/// The evaluation that is under way, and the best of those before. Nothing else is asked of the validation set.
struct Progress {
    rows: usize,
    asked: usize,
    right: usize,
    best: usize,
}

impl Progress {
    fn new(rows: usize) -> Self {
        let (asked, right, best) = (0, 0, 0);
        Self {
            rows,
            asked,
            right,
            best,
        }
    }

    /// The mean, with the last row of an evaluation that is as good as any before: of equals GEPA takes the last.
    fn scored(&mut self, right: bool) -> Option<f64> {
        self.asked += 1;
        self.right += usize::from(right);
        if self.asked < self.rows {
            return None;
        }
        let found = std::mem::take(&mut self.right);
        self.asked = 0;
        let is_best = found >= self.best;
        self.best = self.best.max(found);
        is_best.then(|| found as f64 / self.rows as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_evaluation_is_told_of_at_its_end_where_none_was_better() {
        let mut progress = Progress::new(2);
        let outcomes = [true, false, false, false, false, true, true, true];
        let told = outcomes.map(|right| progress.scored(right));
        let none = None;
        let wanted = [
            none,
            Some(0.5),
            none,
            none,
            none,
            Some(0.5),
            none,
            Some(1.0),
        ];
        assert_eq!(told, wanted);
    }
}
