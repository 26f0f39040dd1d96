//! The checks that look at more than one key, or at the world: one file a section.

mod budget;
mod datasets;
mod eval;
mod instruct;
mod models;
mod operators;
mod run;
mod train;

use crate::{
    Paths, Purpose,
    env::{Environment, Found},
    model::Model,
    report::Report,
    types::{PROPOSER, REWRITER, Spec, TARGET},
};
use std::path::{Path, PathBuf};

/// What the checks read and what they find.
pub(crate) struct Check<'a> {
    pub(crate) purpose: Purpose,
    pub(crate) env: &'a dyn Environment,
    /// The folder of the spec file.
    pub(crate) folder: &'a Path,
    pub(crate) report: Report<'a>,
    pub(crate) paths: Paths,
    /// The data sets' names, in order.
    pub(crate) names: Vec<String>,
}

impl Check<'_> {
    /// Runs every check, and fills in the graders.
    pub(crate) fn all(&mut self, spec: &mut Spec) {
        if self.purpose == Purpose::Models {
            return models::check(self, spec);
        }
        self.names = spec.datasets.iter().map(|d| d.name.clone()).collect();
        run::check(self, spec);
        instruct::check(self, spec);
        models::check(self, spec);
        datasets::check(self, spec);
        budget::check(self, spec);
        train::check(self, spec);
        eval::check(self, spec);
    }

    /// The names of the models whose answers are graded.
    fn answering<'s>(&self, spec: &'s Spec) -> Vec<&'s str> {
        match self.purpose {
            Purpose::Run => vec![TARGET],
            Purpose::Eval if !spec.eval.rewriters.is_empty() => vec![TARGET],
            Purpose::Eval => spec.eval.models.iter().map(String::as_str).collect(),
            Purpose::Models => callable(spec),
        }
    }

    /// The names of the models that will be called.
    fn called<'s>(&self, spec: &'s Spec) -> Vec<&'s str> {
        let mut names = self.answering(spec);
        if self.purpose == Purpose::Run {
            names.push(PROPOSER);
            if spec.search.by_rewriter() {
                names.push(REWRITER);
            }
        }
        if self.purpose == Purpose::Eval && !spec.eval.rewriters.is_empty() {
            names = spec.evaluated();
        }
        if self.purpose != Purpose::Models {
            let writes = |name: &&str| !matches!(spec.models.get(*name), Some(Model::Reward(_)));
            names.extend(spec.judges().into_iter().filter(writes));
        }
        names
    }

    /// Whether every answering model gives log-likelihoods.
    fn scores(&self, spec: &Spec) -> bool {
        let models = self
            .answering(spec)
            .into_iter()
            .filter_map(|name| spec.models.get(name));
        crate::grader::all_score(models.filter(|m| !matches!(m, Model::Reward(_))))
    }

    /// Where a path of the spec leads: beside the spec file first, then in the current directory.
    fn locate(&mut self, key: &str, written: &str) -> Option<(PathBuf, Found)> {
        let here = self.env.current_dir();
        let beside = absolute(&here, self.folder).join(written);
        let in_cwd = here.join(written);
        for place in [&beside, &in_cwd] {
            match self.env.find(place) {
                Found::Missing => {}
                Found::Unreadable => {
                    let shown = place.display();
                    self.report
                        .wrong(key, format!("{shown} may not be read by this user"));
                    return None;
                }
                found => return Some((place.clone(), found)),
            }
        }
        let looked = match beside == in_cwd {
            true => beside.display().to_string(),
            false => format!("{} and {}", beside.display(), in_cwd.display()),
        };
        let set = self.set_key(key);
        let tilde = match written.starts_with('~') {
            true => "; a spec takes ~ as it is, so write the home folder out",
            false => "",
        };
        self.report.absent(
            key,
            format!(
                "no such file or folder (looked for {looked}{tilde}): say where it is, here or with --set {set}=PATH"
            ),
        );
        None
    }

    /// Whether something is where [`Check::locate`] looks.
    fn is_here(&self, written: &str) -> bool {
        let here = self.env.current_dir();
        let places = [
            absolute(&here, self.folder).join(written),
            here.join(written),
        ];
        places
            .iter()
            .any(|place| self.env.find(place) != Found::Missing)
    }

    /// The key as people write it after `--set`: a data set by its name, where that can be written there.
    fn set_key(&self, key: &str) -> String {
        let by_name = || {
            let (index, rest) = key.strip_prefix("datasets[")?.split_once(']')?;
            let name = self.names.get(index.parse::<usize>().ok()?)?;
            let plain = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
            let usable = name.chars().all(plain) && name.parse::<usize>().is_err();
            usable.then(|| format!("datasets.{name}{rest}"))
        };
        by_name().unwrap_or_else(|| key.to_owned())
    }

    /// A URL to post to: its scheme, and no password in it. Such a value is never shown.
    fn url(&mut self, key: &str, url: &str) {
        let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
        let host = rest.split(['/', '?', '#']).next().unwrap_or(rest);
        if host.contains('@') {
            let message = "holds a user name or password (not shown): put the secret into an \
                           environment variable and name that";
            self.report.wrong_hidden(key, message);
        } else if !url.starts_with("http://") && !url.starts_with("https://") {
            self.report
                .wrong(key, "is no URL: it starts with http:// or https://");
        } else if host.is_empty() {
            self.report.wrong(key, "names no host");
        }
    }

    /// An environment variable that holds a secret.
    fn secret_variable(&mut self, key: &str, name: &str, instead: &str) {
        let word = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
        let plain = name.chars().all(word) && !name.starts_with(|c: char| c.is_ascii_digit());
        if self.env.is_set(name) {
            return;
        }
        if plain {
            self.report.wrong(
                key,
                format!(
                    "environment variable {name}, named by {key}, is not set: export it{instead}"
                ),
            );
        } else {
            let message = "names no environment variable that is set (value not shown, it might be \
                           the secret itself): give the name of the variable, such as OPENAI_API_KEY";
            self.report.wrong_hidden(key, message);
        }
    }
}

/// All models but those that write no text.
fn callable(spec: &Spec) -> Vec<&str> {
    let models = spec.models.iter();
    models
        .filter(|(_, model)| !matches!(model, Model::Reward(_)))
        .map(|(name, _)| name.as_str())
        .collect()
}

fn absolute(here: &Path, folder: &Path) -> PathBuf {
    if folder.as_os_str().is_empty() {
        here.to_owned()
    } else {
        here.join(folder)
    }
}
