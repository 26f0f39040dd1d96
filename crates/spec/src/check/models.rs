//! `[models]`: who is there, where their files and keys are.

use super::Check;
use crate::{
    env::Found,
    hint::nearest,
    model::{Device, Dtype, Http, Local, Model, Reward},
    types::{PROPOSER, Spec, TARGET},
};
use domain::grade::Grader;
use std::path::Path;

pub(super) fn check(c: &mut Check<'_>, spec: &Spec) {
    // Of an evaluation, [eval].models says who is needed.
    let needs_target = c.answering(spec).contains(&TARGET);
    let quiet = c.report.is_tainted("models.target") || c.report.is_tainted("models");
    if needs_target && !spec.models.contains_key(TARGET) && !quiet {
        let message = "missing: say [models.target], whose answers are graded";
        c.report.wrong("models.target", message);
    }
    for (name, model) in &spec.models {
        let key = format!("models.{name}");
        // A proposer without a kind is the target once more.
        let own = c.report.is_given(&format!("{key}.kind"));
        let called = c.called(spec).contains(&name.as_str());
        if own || name == PROPOSER {
            one(c, name, model, called, own);
        }
        if own && !called && !is_named(spec, name) {
            c.report
                .warn(&key, "is named by nothing and will not be called");
        }
    }
}

/// Whether some part of the spec speaks of this model, even if this command does not call it.
fn is_named(spec: &Spec, name: &str) -> bool {
    let grades = |d: &crate::Dataset| matches!(d.grader(), Some(Grader::Reward { model, .. } | Grader::Judge { model, .. }) if model == name);
    let mut named = spec.eval.models.iter().chain(&spec.eval.rewriters);
    let known = [TARGET, PROPOSER].contains(&name) || named.any(|m| m == name);
    known || spec.datasets.iter().any(grades)
}

fn one(c: &mut Check<'_>, name: &str, model: &Model, called: bool, own: bool) {
    let key = format!("models.{name}");
    match model {
        Model::Local(model) => local(c, name, model, own),
        Model::Http(model) => {
            if own {
                http(c, &key, model);
            }
            if called {
                secrets(c, name, model, own);
            }
        }
        Model::Reward(_) if called && !own => {}
        Model::Reward(_) if called => {
            let message = "a reward model writes no text: use kind = \"local\" or \"http\"";
            c.report.wrong(&format!("{key}.kind"), message);
        }
        Model::Reward(model) => reward(c, name, model),
    }
}

fn reward(c: &mut Check<'_>, name: &str, model: &Reward) {
    if model.device == Device::Cpu && model.dtype != Dtype::F32 {
        let key = format!("models.{name}.dtype");
        let message = "half precision is for CUDA: say device = \"cuda\" too, or leave dtype out";
        c.report.wrong(&key, message);
    }
    let key = format!("models.{name}.model");
    if model.is_repository() && c.env.hub() && !c.is_here(&model.model) {
        return;
    }
    if !c.report.is_tainted(&key)
        && let Some((found, _)) = c.locate(&key, &model.model)
    {
        if c.env.find(&found.join("config.json")) == Found::Missing {
            let message = "has no config.json: a reward model is a folder with config.json, weights \
                           (*.safetensors or pytorch_model.bin) and tokenizer.json or spm.model";
            c.report.wrong(&key, message);
        }
        c.paths.models.insert(name.to_owned(), found);
    }
}

fn local(c: &mut Check<'_>, name: &str, model: &Local, own: bool) {
    if !own {
        // The inherited path was looked for, and complained of, under the target's name.
        if let Some(found) = c.paths.models.get(TARGET).cloned() {
            c.paths.models.insert(name.to_owned(), found);
        }
        return;
    }
    adapter(c, name, model);
    let key = format!("models.{name}.model");
    if model.is_path() {
        if !c.report.is_tainted(&key)
            && let Some((found, _)) = c.locate(&key, &model.model)
        {
            folder(c, &key, &model.model, &found);
            c.paths.models.insert(name.to_owned(), found);
        }
        return;
    }
    of_catalogue(c, &key, &model.model);
}

/// The folder of an adapter.
fn adapter(c: &mut Check<'_>, name: &str, model: &Local) {
    let key = format!("models.{name}.adapter");
    let Some(written) = model
        .adapter
        .as_deref()
        .filter(|_| !c.report.is_tainted(&key))
    else {
        return;
    };
    if let Some((found, _)) = c.locate(&key, written) {
        if c.env.find(&found.join("adapter_config.json")) == Found::Missing {
            let message =
                "has no adapter_config.json: an adapter is a folder that `promptimal train` wrote";
            c.report.wrong(&key, message);
        }
        c.paths.adapters.insert(name.to_owned(), found);
    }
}

/// A name that no path is: one of the catalogue.
pub(super) fn of_catalogue(c: &mut Check<'_>, key: &str, name: &str) {
    let catalogue = c.env.catalogue();
    if !catalogue.contains(&name) {
        let guess = nearest(name, catalogue.iter().copied());
        let hint = guess
            .map(|g| format!(", did you mean \"{g}\"?"))
            .unwrap_or_default();
        let server = match key.starts_with("models.") {
            true => ", and a model behind a server has kind = \"http\"",
            false => "",
        };
        let message = format!(
            "no model of this name in the catalogue{hint} (it has {}); a path has a / in it or ends \
             with .gguf or .safetensors{server}",
            catalogue.join(", ")
        );
        c.report.wrong(key, message);
    }
}

/// What is no weights file is a folder with a configuration beside the weights.
pub(super) fn folder(c: &mut Check<'_>, key: &str, written: &str, found: &Path) {
    let file = [".gguf", ".safetensors"]
        .iter()
        .any(|e| written.ends_with(e));
    if !file && c.env.find(&found.join("config.json")) == Found::Missing {
        let message = "has no config.json: a model folder holds config.json, tokenizer.json and \
                       *.safetensors; of a GGUF model name the .gguf file";
        c.report.wrong(key, message);
    }
}

fn http(c: &mut Check<'_>, key: &str, model: &Http) {
    let url_key = format!("{key}.base_url");
    c.url(&url_key, &model.base_url);
    if model
        .base_url
        .trim_end_matches('/')
        .ends_with("/chat/completions")
    {
        let message = "goes up to the version only, /chat/completions is added: end it with /v1";
        c.report.wrong(&url_key, message);
    }
    let rest = model.base_url.split_once("://").map_or("", |(_, r)| r);
    let rest = rest.trim_end_matches('/');
    if !rest.is_empty() && !rest.contains(['/', '?', '#', '@']) {
        let message = "ends with the host: most servers want the version too, such as /v1";
        c.report.warn(&url_key, message);
    }
    if model.api_key_env.is_some() && model.api_key_file.is_some() {
        let message = "api_key_env is given too: keep one of the two";
        c.report
            .wrong_hidden(&format!("{key}.api_key_file"), message);
    }
    if model.connect_timeout_seconds > model.call_timeout_seconds {
        let whole = model.call_timeout_seconds;
        let message = format!("is longer than the whole call's limit of {whole} seconds");
        c.report
            .wrong(&format!("{key}.connect_timeout_seconds"), message);
    }
}

fn secrets(c: &mut Check<'_>, name: &str, model: &Http, own: bool) {
    if !own {
        if let Some(found) = c.paths.key_files.get(TARGET).cloned() {
            c.paths.key_files.insert(name.to_owned(), found);
        }
        return;
    }
    if let Some(variable) = &model.api_key_env {
        let key = format!("models.{name}.api_key_env");
        c.secret_variable(&key, variable, " or use api_key_file");
    }
    let key = format!("models.{name}.api_key_file");
    let Some(file) = &model.api_key_file else {
        return;
    };
    if looks_like_a_key(file) {
        let message = "names no file (value not shown, it might be the key itself): give a path";
        c.report.wrong_hidden(&key, message);
    } else if !c.report.is_tainted(&key)
        && let Some((found, state)) = c.locate(&key, file)
    {
        if state == (Found::Readable { by_everyone: true }) {
            let message = "every user of this machine may read it: chmod 600 it";
            c.report.warn(&key, message);
        }
        c.paths.key_files.insert(name.to_owned(), found);
    }
}

/// Long, and neither a folder nor an ending in it.
fn looks_like_a_key(file: &str) -> bool {
    file.len() >= 20 && !file.contains(['/', '\\', '.'])
}
