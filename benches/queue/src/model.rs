//! The model that is asked: a server, or nothing at all.

use coordinator::ModelFacts;
use domain::call::{Answer, Reply, Usage};
use llm::{
    Identity, LanguageModel,
    http::{HttpModel, HttpOptions},
    scripted::ScriptedModel,
};
use std::sync::Arc;

/// The model behind a server, or one whose every answer is there at once.
pub fn model(url: Option<&str>, concurrency: usize) -> anyhow::Result<Arc<dyn LanguageModel>> {
    let Some(url) = url else {
        return Ok(Arc::new(nothing()));
    };
    let mut options = HttpOptions::new(url, "mock");
    options.concurrency = concurrency;
    Ok(Arc::new(HttpModel::new(options)?))
}

fn nothing() -> ScriptedModel {
    let identity = Identity {
        key: "nothing".into(),
        name: "nothing".into(),
        scores: false,
    };
    ScriptedModel::new(identity, |_| Ok(answer()))
}

/// What every task is answered.
pub fn answer() -> Answer {
    Answer {
        reply: Reply::Text { text: "A".into() },
        usage: Usage {
            prompt_tokens: 20,
            completion_tokens: 1,
        },
        cost_micros: 0,
    }
}

/// What a coordinator knows of it.
pub fn facts(model: &Arc<dyn LanguageModel>) -> ModelFacts {
    let asked = model.clone();
    ModelFacts {
        identity: model.identity().clone(),
        worst_case: Arc::new(move |call| asked.worst_case(call)),
        quota: None,
    }
}
