//! `[[datasets]]`: names, options, files, graders, quotas.

use super::Check;
use crate::{Purpose, data::Dataset, grader, hint::nearest, model::Model, types::Spec};
use dataset::{DatasetError, Format};
use domain::grade::Grader;

pub(super) fn check(c: &mut Check<'_>, spec: &mut Spec) {
    if spec.datasets.is_empty() {
        c.report
            .wrong("datasets", "missing: say [[datasets]] at least once");
    }
    let scores = c.scores(spec);
    for i in 0..spec.datasets.len() {
        let key = format!("datasets[{i}]");
        names(c, spec, i);
        let dataset = &spec.datasets[i];
        files(c, &key, dataset);
        let filled = match &dataset.grader {
            Some(given) => {
                fits(c, &key, dataset, given, scores);
                Some(given.clone())
            }
            // Without its mapping, which is a problem of its own, nothing is known of it.
            None if unmapped(dataset) => None,
            None => fill(c, &key, dataset, scores),
        };
        match &filled {
            Some(Grader::Reward { model, .. }) => reward(c, spec, &key, model),
            Some(Grader::Judge { model, .. }) => judge(c, spec, &key, model),
            _ => {}
        }
        spec.datasets[i].grader = filled;
    }
    if c.purpose == Purpose::Run {
        quotas(c, spec);
    }
}

fn unmapped(dataset: &Dataset) -> bool {
    matches!(dataset.format, Format::Jsonl | Format::Csv) && dataset.fields.is_none()
}

fn names(c: &mut Check<'_>, spec: &Spec, i: usize) {
    let name = &spec.datasets[i].name;
    let key = format!("datasets[{i}].name");
    if spec.datasets[..i]
        .iter()
        .any(|earlier| earlier.name == *name)
    {
        c.report.wrong(
            &key,
            "is the name of an earlier data set too: each name once",
        );
    }
    if name.chars().any(char::is_control) || name.chars().count() > 100 {
        c.report
            .wrong(&key, "a name is one line of at most 100 characters");
    }
}

fn files(c: &mut Check<'_>, key: &str, dataset: &Dataset) {
    if c.report.is_tainted(key) {
        return;
    }
    if let Err(DatasetError::Options {
        option, problem, ..
    }) = dataset.source(&dataset.path, 0).check()
    {
        // "is missing" is what a missing key says everywhere.
        let problem = problem
            .strip_prefix("is missing")
            .map_or(problem.clone(), |rest| format!("missing{rest}"));
        c.report.wrong(&format!("{key}.{option}"), problem);
    }
    let written = dataset.path.to_string_lossy();
    if let Some((found, _)) = c.locate(&format!("{key}.path"), &written) {
        c.paths.datasets.insert(dataset.name.clone(), found);
    }
    if let Some(twice) = repeated(&dataset.labels) {
        c.report
            .wrong(&format!("{key}.labels"), format!("has {twice:?} twice"));
    }
}

/// The first text that stood there before.
fn repeated(texts: &[String]) -> Option<&String> {
    let mut all = texts.iter().enumerate();
    all.find(|(i, text)| texts[..*i].contains(text))
        .map(|(_, text)| text)
}

fn fill(c: &mut Check<'_>, key: &str, dataset: &Dataset, scores: bool) -> Option<Grader> {
    grader::default(dataset, scores)
        .map_err(|message| c.report.wrong(&format!("{key}.grader"), message))
        .ok()
}

/// Whether the grader has what it needs: choices, a reference, log-likelihoods, its own settings.
fn fits(c: &mut Check<'_>, key: &str, dataset: &Dataset, given: &Grader, scores: bool) {
    let has = grader::has(dataset);
    let kind = given.name();
    let kind_key = format!("{key}.grader.kind");
    if !grader::usable(has, true).contains(&kind) {
        let lacks = |what| {
            format!(
                "needs {what}, which this {} data set lacks",
                dataset.format.name()
            )
        };
        let why = match kind {
            "choice_letter" | "choice_loglik" => lacks("choices"),
            "code" => lacks("tests"),
            "reward" | "judge" => {
                let format = dataset.format.name();
                format!("reads open answers, and this {format} data set has choices or tests")
            }
            _ => lacks("a reference"),
        };
        let can = grader::usable(has, scores).join(", ");
        let message = format!("{why}: use one of {can}");
        c.report.wrong(&kind_key, message);
    } else if !grader::usable(has, scores).contains(&kind) {
        let can = grader::usable(has, scores).join(", ");
        let message = format!(
            "needs log-likelihoods, which not all answering models give (local ones do, http ones \
             with score_endpoint = true): use one of {can}"
        );
        c.report.wrong(&kind_key, message);
    }
    settings(c, &format!("{key}.grader"), given);
}

fn settings(c: &mut Check<'_>, key: &str, grader: &Grader) {
    match grader {
        Grader::Label { labels } if labels.len() < 2 => {
            let message = "needs at least two labels, here or as the data set's labels";
            c.report.wrong(&format!("{key}.labels"), message);
        }
        Grader::Json { fields, .. } => {
            if let Some(twice) = repeated(fields) {
                c.report
                    .wrong(&format!("{key}.fields"), format!("has {twice:?} twice"));
            }
        }
        Grader::Regex { pattern } => {
            // Any escaped reference is a valid expression where a letter is.
            if let Err(e) = regex::Regex::new(&pattern.replace("{reference}", "x")) {
                let last = e.to_string().lines().last().unwrap_or_default().to_owned();
                let message = format!(
                    "is no regular expression: {}",
                    last.trim_start_matches("error: ")
                );
                c.report.wrong(&format!("{key}.pattern"), message);
            }
        }
        Grader::Program { command, .. } if command.is_empty() => {
            let message = "is empty: give a program and its arguments";
            c.report.wrong(&format!("{key}.command"), message);
        }
        Grader::Http { url, token_env, .. } => {
            c.url(&format!("{key}.url"), url);
            if let Some(variable) = token_env {
                c.secret_variable(&format!("{key}.token_env"), variable, "");
            }
        }
        _ => {}
    }
}

/// The grader's reward model must be one.
fn reward(c: &mut Check<'_>, spec: &Spec, key: &str, model: &str) {
    let is_one = |m: &Model| matches!(m, Model::Reward(_));
    if !spec.models.get(model).is_some_and(is_one) {
        let say = (
            "is no reward model",
            "kind = \"reward\" and model = \"PATH\"",
        );
        unfit(c, spec, (key, model), is_one, say);
    }
}

/// The grader's judge must be a model that writes, and should be another than those whose answers it judges.
fn judge(c: &mut Check<'_>, spec: &Spec, key: &str, model: &str) {
    let is_one = |m: &Model| {
        matches!(m, Model::Local(local) if local.adapter.is_none()) || matches!(m, Model::Http(_))
    };
    let Some(judge) = spec.models.get(model).filter(|m| is_one(m)) else {
        let say = (
            "writes no verdicts: a reward model and a rewriter do not",
            "kind = \"http\" or \"local\"",
        );
        return unfit(c, spec, (key, model), is_one, say);
    };
    let answering = c.answering(spec);
    let own = answering.iter().find(|name| {
        let other = spec.models.get(**name);
        **name == model || other.is_some_and(|other| other.is_same_as(judge))
    });
    if let Some(own) = own {
        let message = format!(
            "is the model of [models.{own}], whose answers it judges, and models prefer their own words: name another one"
        );
        c.report.warn(&format!("{key}.grader.model"), message);
    }
}

/// Says that the model which a grader names is none that it could use, and which is meant perhaps.
fn unfit(
    c: &mut Check<'_>,
    spec: &Spec,
    (key, model): (&str, &str),
    fits: impl Fn(&Model) -> bool,
    (why, settings): (&str, &str),
) {
    let other = spec.models.get(model);
    // A model that is there and wrong is told under its own name.
    if c.report.is_tainted(&format!("models.{model}")) {
        return;
    }
    let usable = spec.models.iter().filter(|(_, m)| fits(m));
    let names: Vec<&str> = usable.map(|(name, _)| name.as_str()).collect();
    let guess = nearest(model, names.into_iter());
    let hint = guess
        .map(|g| format!(", did you mean \"{g}\"?"))
        .unwrap_or_default();
    let named = c.report.is_given(&format!("{key}.grader.model"));
    let what = match (other, named) {
        (Some(_), _) => why,
        (None, true) => "is no model",
        (None, false) => "missing, and no model has the name that stands for it",
    };
    let message = format!("{what}{hint} (say [models.{model}] with {settings})");
    c.report.wrong(&format!("{key}.grader.model"), message);
}

fn quotas(c: &mut Check<'_>, spec: &Spec) {
    let taken: usize = spec.datasets.iter().filter_map(|d| d.hardest).sum();
    let hardest = spec.search.hardest;
    let sharers = spec.datasets.iter().filter(|d| d.hardest.is_none()).count();
    let given = c.report.is_given("search.hardest");
    let sharing = sharers > 0;
    if sharing && hardest < taken + sharers {
        let message = format!(
            "is {hardest}, of which the data sets' own quotas take {taken}: too few are left for the \
             {sharers} without a quota; raise it, or give each data set its hardest"
        );
        c.report.wrong("search.hardest", message);
    } else if !sharing && given && taken != hardest && !spec.datasets.is_empty() {
        let message = format!("has no effect: the data sets' own quotas sum to {taken}");
        c.report.warn("search.hardest", message);
    }
    if !spec.datasets.is_empty() && !sharing && taken == 0 {
        let message = "every data set's hardest is 0: there would be nothing to work on";
        c.report.wrong("datasets[0].hardest", message);
    }
}
