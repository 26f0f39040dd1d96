//! dspy-rs 0.7.3 `Evaluator::evaluate` against the mock: `peer-dspy-rs URL N C`.

use anyhow::Context;
use dspy_rs::{
    ChatAdapter, Evaluator, Example, LM, Module, Predict, Prediction, Predictor, Signature,
    configure,
};
use std::{collections::HashMap, time::Instant};

#[Signature]
struct Question {
    /// Answer the question with one letter.

    #[input]
    pub question: String,
    #[output]
    pub answer: String,
}

/// The concurrency is a constant of the trait: one type for each of the values that are tried.
struct Asker<const C: usize>(Predict);

impl<const C: usize> Module for Asker<C> {
    async fn forward(&self, inputs: Example) -> anyhow::Result<Prediction> {
        self.0.forward(inputs).await
    }
}

impl<const C: usize> Evaluator for Asker<C> {
    const MAX_CONCURRENCY: usize = C;
    const DISPLAY_PROGRESS: bool = false;

    async fn metric(&self, example: &Example, prediction: &Prediction) -> f32 {
        f32::from(u8::from(
            example.get("answer", None) == prediction.get("answer", None),
        ))
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let args: Vec<String> = std::env::args().collect();
    let [_, url, n, c] = &args[..] else {
        anyhow::bail!("usage: peer-dspy-rs URL N CONCURRENCY");
    };
    let (n, c): (usize, usize) = (n.parse()?, c.parse()?);
    let lm = LM::builder()
        .base_url(url.clone())
        .api_key("none".to_owned())
        .model("mock".to_owned())
        .build()
        .await?;
    configure(lm, ChatAdapter {});
    let examples = (0..n).map(example).collect();
    let begun = Instant::now();
    let score = match c {
        8 => evaluate::<8>(examples).await,
        64 => evaluate::<64>(examples).await,
        256 => evaluate::<256>(examples).await,
        1024 => evaluate::<1024>(examples).await,
        _ => return Err(anyhow::anyhow!("{c}")).context("concurrency is one of 8, 64, 256, 1024"),
    };
    anyhow::ensure!(score == 1.0, "{score} of the answers are right");
    let took = begun.elapsed().as_secs_f64();
    println!("{}", serde_json::json!({ "took": { "wall_s": took } }));
    Ok(())
}

async fn evaluate<const C: usize>(examples: Vec<Example>) -> f32 {
    Asker::<C>(Predict::new(Question::new()))
        .evaluate(examples)
        .await
}

fn example(i: usize) -> Example {
    let text = format!("Question {i} of the list: which letter is the answer to it?");
    let data = HashMap::from([
        ("question".to_owned(), serde_json::json!(text)),
        ("answer".to_owned(), serde_json::json!("A")),
    ]);
    Example::new(data, vec!["question".to_owned()], vec!["answer".to_owned()])
}
