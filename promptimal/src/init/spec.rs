//! Answers as a commented spec.

use super::{Data, Plan, Who, survey::Kind};
use crate::cli::Task;
use anyhow::bail;
use dataset::{AnswerIs, FieldMap};
use std::fmt::Write as _;

/// The longest instruction, and the longest rewrite, in characters.
const MAX_CHARS: usize = 800;
const MAX_REWRITE: usize = 1200;

/// A text in TOML's quotes.
fn quoted(text: &str) -> String {
    // TOML's basic strings have JSON's escapes, and want one character more escaped.
    let json = serde_json::Value::from(text).to_string();
    json.replace('\u{7f}', "\\u007f")
}

fn list(texts: &[String]) -> String {
    let texts: Vec<String> = texts.iter().map(|text| quoted(text)).collect();
    format!("[{}]", texts.join(", "))
}

impl Plan {
    /// The spec, as it stands in `file`.
    ///
    /// # Errors
    /// When no grader fits both data and model.
    pub fn spec(&self, file: &str) -> anyhow::Result<String> {
        let mut out = self.head(file);
        out += &self.dataset()?;
        if self.task != Task::Rewrite {
            out += "# Shares of the data; near-duplicates are on one side. test is sealed until the one last evaluation.\n\
                    [splits]\ntrain = 0.5\nvalidation = 0.2\ntest = 0.3\n\n";
        }
        out += &self.models();
        out += &match self.task {
            Task::Rewrite => self.rewriting(),
            _ => self.instructing(),
        };
        Ok(out)
    }

    fn head(&self, file: &str) -> String {
        let (mode, what) = match self.task {
            Task::Rewrite => (
                "rewrite",
                "a better wording for each question that the model answers badly",
            ),
            _ => ("instruct", "one good instruction for all of the data"),
        };
        format!(
            "# What is looked for: {what}.\n\
             # Every key is explained in docs/spec.md; `promptimal spec` prints them all.\n#\n\
             #   promptimal run {file} --dry-run   # how many calls it takes; none is made\n\
             #   promptimal run {file}\n\n\
             [run]\nname = {}\nmode = \"{mode}\"\n\n",
            quoted(&self.name)
        )
    }

    fn dataset(&self) -> anyhow::Result<String> {
        let Data {
            path,
            format,
            fields,
            ..
        } = &self.data;
        let (grader, says) = self.grader()?;
        let mut out = format!(
            "[[datasets]]\nname = {}\nformat = \"{}\"\npath = {}\n# {says}\ngrader = {grader}\n",
            quoted(&self.name),
            format.name(),
            quoted(path)
        );
        if let Some(fields) = fields {
            out += &mapping(fields);
        }
        out.push('\n');
        Ok(out)
    }

    /// The grader, and how it grades.
    fn grader(&self) -> anyhow::Result<(String, &'static str)> {
        let local = matches!(self.model, Who::Local { .. });
        let plain = |kind: &str| format!("{{ kind = \"{kind}\" }}");
        Ok(match self.graded_as() {
            Kind::Label => (
                format!(
                    "{{ kind = \"label\", labels = {} }}",
                    list(&self.data.labels)
                ),
                "Right: the answer names exactly one of the labels, the right one.",
            ),
            Kind::Number => (
                plain("numeric"),
                "Right: the last number of the answer is the reference's.",
            ),
            Kind::Text => (
                plain("normalised"),
                "Right: the answer is the reference, case, punctuation and articles aside.",
            ),
            Kind::Object => (
                plain("json"),
                "The share of the reference's fields that the answer's first JSON object has as they should be.",
            ),
            Kind::Choice if local => (
                plain("choice_loglik"),
                "Right: the right choice is the one whose text the model finds the most probable.",
            ),
            Kind::Choice => (
                plain("choice_letter"),
                "Right: the letter that the answer settles on.",
            ),
            Kind::Open if local => (
                plain("reference_loglik"),
                "How probable the reference is: a proxy for quality, and reports call it one (docs/open-answers.md).",
            ),
            Kind::Code => (
                plain("code"),
                "Right: what the model writes passes the tests, run in a sandbox.",
            ),
            Kind::Open | Kind::None => bail!(
                "references are up to {} characters long, and no model says such texts word for word: take a local model, \
                 which tells how probable they are (leave --url out), or write a spec with a judge or a \
                 reward model (docs/judge.md, docs/open-answers.md)",
                self.data.longest
            ),
        })
    }

    fn models(&self) -> String {
        let mut out = String::from("# The model whose answers are graded.\n[models.target]\n");
        match &self.model {
            Who::Local { model } => {
                let _ = writeln!(out, "kind = \"local\"\nmodel = {}", quoted(model));
            }
            Who::Server {
                url,
                model,
                key_env,
            } => {
                let _ = writeln!(
                    out,
                    "kind = \"http\"\nbase_url = {}\nmodel = {}",
                    quoted(url),
                    quoted(model)
                );
                match key_env {
                    Some(name) => {
                        out += "# The variable that holds the key. The key itself is never in a spec.\n";
                        let _ = writeln!(out, "api_key_env = {}", quoted(name));
                    }
                    None => {
                        out += "#api_key_env = \"NAME\" # the variable that holds a key, where the server wants one\n"
                    }
                }
                out += "concurrency = 16\n\
                        # With your provider's prices, reports say what a run cost, and [budget] usd can cap it.\n\
                        #price_in_usd_per_million = 0.15\n#price_out_usd_per_million = 0.6\n";
            }
        }
        let _ = writeln!(
            out,
            "[models.target.sampling]\nmax_tokens = {} # of one answer\ntemperature = 0.0\n",
            self.answer_tokens()
        );
        let writes = match self.task {
            Task::Rewrite => "wordings",
            _ => "instructions",
        };
        let _ = writeln!(
            out,
            "# The same model writes the {writes}, less predictably. With a kind and a model of its own here, another one does.\n\
             [models.proposer.sampling]\nmax_tokens = 250\ntemperature = 0.8\n"
        );
        out
    }

    /// Room for the longest right answer and some words around it. Tokens are counted as three characters.
    fn answer_tokens(&self) -> usize {
        let longest = self.data.longest / 3;
        match self.graded_as() {
            Kind::Label => (longest + 6).clamp(8, 64),
            Kind::Number => 256,
            Kind::Object => (longest * 2 + 32).clamp(64, 1024),
            Kind::Choice => 16,
            Kind::Code => 512,
            Kind::Text | Kind::Open | Kind::None => (longest * 2 + 16).clamp(32, 512),
        }
    }

    fn rewriting(&self) -> String {
        let mut out = format!(
            "[search]\nhardest = 12 # questions that are worked on, the ones answered worst\nrewrites = 2 # for each of them \
             in each round\nrounds = 3\nmax_chars = {MAX_REWRITE}\n\n"
        );
        if matches!(self.model, Who::Server { .. }) {
            out += "# The probe for leaks needs log-likelihoods, which few servers give: the rules on text stay.\n\
                    [leak]\nprobe = false\n\n";
        }
        let _ = write!(
            out,
            "# Winners are asked once more on fresh draws, beside a placebo arm; fewer than 8 support no claim.\n\
             [confirm]\nrepeats = 8\n\n\
             # A run that reaches the cap stops cleanly, and goes on once it is raised.\n\
             [budget]\ncalls = {}\n",
            self.calls
        );
        out
    }

    fn instructing(&self) -> String {
        let mut out = format!(
            "[search]\nmax_chars = {MAX_CHARS} # the longest instruction\n\n[instruct]\n\
             # Who writes instructions reads this: say in your own words what the data are and what is wanted.\n\
             description = {}\n\
             # How an instruction and an input become a message.\nuser = \"{{instruction}}\\n\\n{{input}}\"\n\
             calls = {} # of the target, during the search\n\
             rounds = {}\ncandidates = 4 # new prompts in each round\n\
             shots = 4 # most demonstrations in one prompt\n",
            quoted(&self.description()),
            self.calls,
            // A round tries four new prompts on ten examples each, and the better ones on more.
            (self.calls / 50).clamp(1, 12)
        );
        let keep = self.kept();
        if !keep.is_empty() {
            let _ = writeln!(
                out,
                "# Stays in every instruction: without it answers cannot be graded.\nmust_keep = {}",
                list(&keep)
            );
        }
        let _ = write!(
            out,
            "\n# Where the search begins; give as many as you like.\n[[instruct.start]]\ninstruction = {}\n",
            quoted(&self.start)
        );
        out
    }

    fn description(&self) -> String {
        match self.graded_as() {
            Kind::Label => format!(
                "Each text is to be given exactly one of these labels: {}.",
                self.data.labels.join(", ")
            ),
            Kind::Number => {
                "Each question has a number as its answer; the last number that is said counts."
                    .to_owned()
            }
            Kind::Object => format!(
                "Each text is to be answered with a JSON object that has the fields {}.",
                self.data.objects.join(", ")
            ),
            Kind::Choice => "Each question has some choices, one of which is right.".to_owned(),
            _ => {
                "Each question has a right answer, which is to be given without anything around it."
                    .to_owned()
            }
        }
    }

    /// Words that answers cannot do without and that the first instruction has.
    fn kept(&self) -> Vec<String> {
        let words = match self.graded_as() {
            Kind::Label => &self.data.labels,
            Kind::Object => &self.data.objects,
            _ => return Vec::new(),
        };
        match words.iter().all(|word| self.start.contains(word.as_str())) {
            true => words.clone(),
            false => Vec::new(),
        }
    }
}

fn mapping(fields: &FieldMap) -> String {
    let mut out = format!("[datasets.fields]\ninput = {}\n", quoted(&fields.input));
    if let Some(reference) = &fields.reference {
        let _ = writeln!(out, "reference = {}", quoted(reference));
    }
    match fields.choices.as_slice() {
        [] => {}
        [one] => {
            let _ = writeln!(out, "choices = {}", quoted(one));
        }
        many => {
            let _ = writeln!(out, "choices = {}", list(many));
        }
    }
    if fields.answer_is != AnswerIs::Text {
        let _ = writeln!(out, "answer_is = \"{}\"", fields.answer_is.name());
    }
    out
}

/// The instruction that is proposed to begin with.
pub fn first_instruction(kind: Kind, labels: &[String], objects: &[String]) -> String {
    match kind {
        Kind::Label => format!(
            "Answer with one of these labels and nothing else: {}.",
            labels.join(", ")
        ),
        Kind::Number => "Solve the problem, and end with the result as a number.".to_owned(),
        Kind::Object => format!(
            "Read the text and answer with a JSON object that has these fields: {}.",
            objects.join(", ")
        ),
        Kind::Choice => "Choose the right answer.".to_owned(),
        _ => "Answer the question, as briefly as you can.".to_owned(),
    }
}

#[cfg(test)]
#[path = "spec_tests.rs"]
mod tests;
