//! Defaults that depend on other keys: the proposer is the target with livelier sampling, a judge has room for a verdict,
//! a label grader takes the data set's labels.

use serde_json::{Map, Value as Json, json};

/// How a proposer is sampled unless told: greedy rewrites would all be the same.
const PROPOSER_TEMPERATURE: f64 = 0.8;
/// A rewrite is a question, not an essay.
const PROPOSER_MAX_TOKENS: u32 = 160;

/// Fills in what other keys decide.
pub(crate) fn fill(spec: &mut Json) {
    if let Some(models) = spec.get_mut("models").and_then(Json::as_object_mut) {
        proposer(models);
    }
    judges(spec);
    let datasets = spec.get_mut("datasets").and_then(Json::as_array_mut);
    datasets.into_iter().flatten().for_each(label_grader);
}

fn proposer(models: &mut Map<String, Json>) {
    let given = models.remove("proposer");
    let mut proposer = match &given {
        Some(own) if own.get("kind").is_some() => own.clone(),
        _ => match models.get("target") {
            Some(target) => target.clone(),
            None => return,
        },
    };
    let sampling = given
        .as_ref()
        .and_then(|own| own.get("sampling"))
        .and_then(Json::as_object);
    let mut sampling = sampling.cloned().unwrap_or_default();
    sampling
        .entry("temperature")
        .or_insert(json!(PROPOSER_TEMPERATURE));
    sampling
        .entry("max_tokens")
        .or_insert(json!(PROPOSER_MAX_TOKENS));
    let speaks = proposer.get("kind").and_then(Json::as_str) != Some("reward");
    if speaks && let Some(table) = proposer.as_object_mut() {
        table.insert("sampling".to_owned(), Json::Object(sampling));
    }
    models.insert("proposer".to_owned(), proposer);
}

/// A model that does nothing but judge may write as much as a verdict takes.
fn judges(spec: &mut Json) {
    let datasets = spec.get("datasets").and_then(Json::as_array);
    let graders = datasets
        .into_iter()
        .flatten()
        .filter_map(|d| d.get("grader"));
    let judge = |grader: &Json| {
        let judges = grader.get("kind")? == "judge";
        let model = grader.get("model").and_then(Json::as_str);
        judges.then(|| model.unwrap_or("judge").to_owned())
    };
    let names: Vec<String> = graders.filter_map(judge).collect();
    let answers = spec
        .pointer("/eval/models")
        .and_then(Json::as_array)
        .cloned();
    let answers = answers.unwrap_or_default();
    for name in names {
        let only_judges =
            !["target", "proposer"].contains(&name.as_str()) && !answers.contains(&json!(name));
        let model = spec
            .get_mut("models")
            .and_then(|models| models.get_mut(&name));
        if let (true, Some(model)) = (only_judges, model.and_then(Json::as_object_mut))
            && model.get("kind").is_some_and(|kind| kind != "reward")
        {
            let sampling = model.entry("sampling").or_insert(json!({}));
            if let Some(sampling) = sampling.as_object_mut() {
                sampling
                    .entry("max_tokens")
                    .or_insert(json!(domain::judge::MAX_TOKENS));
            }
        }
    }
}

fn label_grader(dataset: &mut Json) {
    let labels = dataset.get("labels").cloned().unwrap_or(json!([]));
    let Some(grader) = dataset.get_mut("grader").and_then(Json::as_object_mut) else {
        return;
    };
    if grader.get("kind") == Some(&json!("label")) {
        grader.entry("labels").or_insert(labels);
    }
}
