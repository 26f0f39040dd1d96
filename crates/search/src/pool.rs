//! What is known of a search: members, the examples they were tried on, and how they did.

use domain::{
    example::Example,
    hash::Hash,
    operator::TaskKind,
    prompt::{PromptDoc, Shot},
    proposal::fold,
};
use std::collections::BTreeMap;

/// Everything that operators, races and choices look at.
#[derive(Clone, Debug, Default)]
pub struct Pool {
    /// What the task is.
    pub task: Task,
    /// Train examples, in the order in which members are tried on them: a shuffled one that derives from their ids and the
    /// run's seed, with right answers spread evenly ([`evened`]).
    pub examples: Vec<Known>,
    /// Every prompt that passed the guards, in the order of birth: the start prompts first. Indices into this list are
    /// how parents and choices name a member.
    pub members: Vec<Member>,
    /// The operators of drafts that came to nothing: no reply, or a prompt that a guard refused. One entry for each.
    pub refused: Vec<String>,
}

/// What operators change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Subject {
    /// One instruction for all inputs of a task: `instruct` mode.
    #[default]
    Instruction,
    /// The words of one question: `rewrite` mode. Its pool has no examples, so that no operator can see a reference.
    Question {
        /// The words as they stand in the data.
        original: String,
        /// What kind of question it is.
        kind: TaskKind,
        /// Whether there is a right answer, so that an answer which is right says what the reference says.
        keyed: bool,
    },
}

/// What operators are told of the task, and what a prompt may be.
#[derive(Clone, Debug, Default)]
pub struct Task {
    /// What is searched.
    pub subject: Subject,
    /// What the user says that the task is; the first start prompt's instruction where nothing is said.
    pub description: String,
    /// The labels, where an answer is one of a few.
    pub labels: Vec<String>,
    /// The longest instruction or rewrite, characters; a long question may grow by half whatever this says.
    pub max_chars: usize,
    /// The most demonstrations in one prompt; 0: none are shown.
    pub max_shots: usize,
    /// Texts that every instruction has to contain (case matters).
    pub must_keep: Vec<String>,
    /// Texts that no instruction may contain (case aside).
    pub must_not_contain: Vec<String>,
    /// Whether operators may see the references of train examples. Demonstrations show them either way.
    pub show_references: bool,
}

/// A train example, and how its right answer is written.
#[derive(Clone, Debug)]
pub struct Known {
    /// Its id.
    pub id: Hash,
    /// The example.
    pub example: Example,
    /// A right answer as a model would have to write it, in the form that the grader reads; `None` where there is none.
    pub answer: Option<String>,
}

/// The most different right answers that are spread evenly: beyond, they are no labels.
const LABELS: usize = 20;

/// The same examples in an order in which every run of them has about the same share of each right answer, as long as there
/// are few. A prompt that makes a model say the same whatever the input is would else be the best of all on a block that
/// happens to be of one kind, and so would all of its kin.
pub fn evened(examples: Vec<Known>) -> Vec<Known> {
    let mut sizes: BTreeMap<Option<String>, usize> = BTreeMap::new();
    let mut places = Vec::new();
    for known in &examples {
        let size = sizes.entry(known.answer.as_deref().map(fold)).or_default();
        places.push(*size);
        *size += 1;
    }
    if sizes.len() > LABELS || sizes.len() * 2 > examples.len() {
        return examples;
    }
    let share = |known: &Known, place: usize| {
        let size = sizes.get(&known.answer.as_deref().map(fold)).copied();
        (place as f64 + 0.5) / size.unwrap_or(1) as f64
    };
    let mut ranked: Vec<(f64, Known)> = examples
        .into_iter()
        .zip(places)
        .map(|(known, place)| (share(&known, place), known))
        .collect();
    ranked.sort_by(|a, b| a.0.total_cmp(&b.0));
    ranked.into_iter().map(|(_, known)| known).collect()
}

impl Known {
    /// The example as a demonstration with this answer.
    pub fn shot(&self, output: String) -> Shot {
        Shot {
            example: self.id,
            input: self.example.input.clone(),
            context: self.example.context.clone(),
            choices: self.example.choices.clone(),
            output,
        }
    }
}

/// A prompt of the search.
#[derive(Clone, Debug, Default)]
pub struct Member {
    /// The prompt: operators change its [words](Member::words). It carries the mutation prompt (Promptbreeder) by which
    /// its children are changed.
    pub doc: PromptDoc,
    /// Members that it was made from: its instruction came from the first.
    pub parents: Vec<usize>,
    /// The operator that made it; `None` for a start prompt.
    pub operator: Option<String>,
    /// The round that made it; 0 for a start prompt.
    pub round: u32,
    /// How it did, by example, in no order.
    pub trials: Vec<Trial>,
}

impl Member {
    /// What operators change: the instruction, or the question's words.
    pub fn words(&self) -> &str {
        self.doc.words().unwrap_or_default()
    }

    /// Its mean value; `None` where it was not tried.
    pub fn mean(&self) -> Option<f64> {
        let n = self.trials.len();
        (n > 0).then(|| self.trials.iter().map(|t| t.value).sum::<f64>() / n as f64)
    }

    /// How long the prompt is without the example, in tokens of about four bytes: instruction, system text and
    /// demonstrations.
    pub fn tokens(&self) -> f64 {
        let doc = &self.doc;
        let own = [&doc.system, &doc.instruction];
        let own: usize = own.into_iter().flatten().map(String::len).sum();
        let shot = |s: &Shot| {
            s.input.len() + s.output.len() + s.choices.iter().map(String::len).sum::<usize>()
        };
        (own + doc.shots.iter().map(shot).sum::<usize>()) as f64 / 4.0
    }

    /// How it did on an example.
    pub fn on(&self, example: usize) -> Option<&Trial> {
        self.trials.iter().find(|t| t.example == example)
    }
}

/// One answer and its grade (the mean over repeats, where there are several).
#[derive(Clone, Debug)]
pub struct Trial {
    /// Index into [`Pool::examples`].
    pub example: usize,
    /// In `[0, 1]`: how good the answer was.
    pub value: f64,
    /// What the model wrote, if it wrote.
    pub said: Option<String>,
    /// What the grader said of it; never the reference.
    pub feedback: String,
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::example::Reference;
    use proptest::prelude::*;

    fn known(i: usize, answer: &str) -> Known {
        Known {
            id: Hash::of([i.to_le_bytes()]),
            example: Example {
                input: i.to_string(),
                context: None,
                choices: Vec::new(),
                reference: Reference::None,
                group: None,
            },
            answer: Some(answer.to_owned()),
        }
    }

    proptest! {
        #[test]
        fn every_run_has_its_share_of_each_answer(answers in prop::collection::vec(0..3usize, 12..80), from in 0..60usize, length in 1..20usize) {
            let names = ["Yes", "no", "maybe"];
            let examples: Vec<Known> = answers.iter().enumerate().map(|(i, a)| known(i, names[*a])).collect();
            let evened = evened(examples.clone());
            let ids = |of: &[Known]| of.iter().map(|k| k.id).collect::<std::collections::BTreeSet<_>>();
            prop_assert_eq!(ids(&evened), ids(&examples));
            let run = &evened[from.min(evened.len())..(from + length).min(evened.len())];
            for name in names {
                let share = |of: &[Known]| of.iter().filter(|k| k.answer.as_deref() == Some(name)).count() as f64;
                let expected = share(&evened) * run.len() as f64 / evened.len() as f64;
                prop_assert!((share(run) - expected).abs() < 2.5, "{} {}", share(run), expected);
            }
        }
    }

    #[test]
    fn answers_that_are_no_labels_stay_where_they_are() {
        let examples: Vec<Known> = (0..30).map(|i| known(i, &format!("answer {i}"))).collect();
        let ids: Vec<Hash> = examples.iter().map(|k| k.id).collect();
        assert_eq!(
            evened(examples).iter().map(|k| k.id).collect::<Vec<_>>(),
            ids
        );
    }
}
