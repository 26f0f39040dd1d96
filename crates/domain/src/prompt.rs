//! The candidate document, and how a document and an example become a question to a model.

use crate::{
    call::{Call, Message, Sampling},
    example::{Example, Reference},
    grade::{GradeInput, Grader},
    hash::Hash,
};
use rand::{SeedableRng, seq::SliceRandom};
use serde::{Deserialize, Serialize};

/// A prompt: messages with slots. `{input}`, `{context}` and `{choices}` stand for the example's parts, `{instruction}`
/// for the document's own [`PromptDoc::instruction`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PromptDoc {
    /// Version of this layout.
    #[serde(default = "version")]
    pub version: u32,
    /// Standing instructions, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system: Option<String>,
    /// What the user says. Without a slot `{input}` the input is appended after a blank line.
    #[serde(default = "input_only")]
    pub user: String,
    /// `instruct` mode: what the search changes. Where neither system nor user has its slot, it stands before what the
    /// user says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instruction: Option<String>,
    /// Answered examples, shown as earlier turns of the conversation. The instruction stands before the first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shots: Vec<Shot>,
    /// How the search changes what it makes of this prompt (a mutation prompt, as Promptbreeder's units carry one). No
    /// target sees it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mutation: Option<String>,
    /// `rewrite` mode: the words that stand in for the example's own input. Choices, context and format
    /// stay outside.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub question: Option<String>,
}

/// A demonstration: an example and an answer to it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shot {
    /// The example: a prompt is never tried on one that it shows.
    pub example: Hash,
    /// Its input.
    pub input: String,
    /// What its input speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<String>,
    /// Its choices, as they are shown.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub choices: Vec<String>,
    /// The answer.
    pub output: String,
}

fn version() -> u32 {
    1
}

fn input_only() -> String {
    "{input}".to_owned()
}

impl Default for PromptDoc {
    /// The unchanged example.
    fn default() -> Self {
        Self {
            version: 1,
            system: None,
            user: input_only(),
            instruction: None,
            shots: Vec::new(),
            mutation: None,
            question: None,
        }
    }
}

impl PromptDoc {
    /// The unchanged example with other words for its input.
    pub fn rewrite(question: impl Into<String>) -> Self {
        Self {
            question: Some(question.into()),
            ..Self::default()
        }
    }

    /// Whether an example is among the demonstrations.
    pub fn shows(&self, example: Hash) -> bool {
        self.shots.iter().any(|shot| shot.example == example)
    }

    /// The words that a search changes: of the question, or of the instruction. `None` in what is shown as it is.
    pub fn words(&self) -> Option<&str> {
        self.question.as_deref().or(self.instruction.as_deref())
    }

    /// The hash by which documents are found that show a target the same.
    pub fn fingerprint(&self) -> Hash {
        let shown = Self {
            mutation: None,
            ..self.clone()
        };
        let text = serde_json::to_vec(&shown).unwrap_or_default();
        Hash::of([text])
    }
}

/// How an example is put to the model.
#[derive(Clone, Debug)]
pub struct Asking<'a> {
    /// The grader decides the form: a written reply, or log-likelihoods.
    pub grader: &'a Grader,
    /// How a written reply is sampled.
    pub sampling: &'a Sampling,
    /// Which of the fresh draws this is: it seeds the order of the choices; 0 is the original order.
    pub repeat: u32,
    /// References of other examples, the controls of `reference_loglik`.
    pub mismatched: &'a [String],
}

/// What is asked, and what grading the answer will need.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The question.
    pub call: Call,
    /// For the grader; choices in the order shown.
    pub grade: GradeInput,
}

/// Renders a document for an example.
pub fn ask(doc: &PromptDoc, example: &Example, asking: &Asking<'_>) -> Asked {
    let order = choice_order(example, asking.repeat);
    let choices: Vec<String> = order.iter().map(|&i| example.choices[i].clone()).collect();
    let reference = shown_reference(&example.reference, &order);
    let messages = messages(doc, example, &choices, asking.grader);
    let call = match asking.grader {
        Grader::ChoiceLoglik => Call::Loglik {
            messages,
            prefix: String::new(),
            continuations: choices.clone(),
        },
        Grader::ReferenceLoglik => Call::Loglik {
            messages,
            prefix: String::new(),
            continuations: example
                .reference_text()
                .map(str::to_owned)
                .into_iter()
                .chain(asking.mismatched.iter().cloned())
                .collect(),
        },
        _ => Call::Generate {
            messages,
            sampling: asking.sampling.clone(),
        },
    };
    Asked {
        call,
        grade: GradeInput {
            input: example.input.clone(),
            choices,
            reference,
        },
    }
}

/// The order in which choices are shown: the original one for repeat 0, else shuffled by a seed from the
/// example and the repeat, so that original and rewrite see the same order in the same repeat.
fn choice_order(example: &Example, repeat: u32) -> Vec<usize> {
    let mut order: Vec<usize> = (0..example.choices.len()).collect();
    if repeat > 0 {
        let seed = Hash::of([&example.id().0[..], &repeat.to_le_bytes()]).seed();
        order.shuffle(&mut rand_chacha::ChaCha8Rng::seed_from_u64(seed));
    }
    order
}

fn shown_reference(reference: &Reference, order: &[usize]) -> Reference {
    match reference {
        Reference::Choice { index } => Reference::Choice {
            index: order.iter().position(|i| i == index).unwrap_or(*index),
        },
        other => other.clone(),
    }
}

fn messages(
    doc: &PromptDoc,
    example: &Example,
    choices: &[String],
    grader: &Grader,
) -> Vec<Message> {
    let instruction = doc.instruction.as_deref().unwrap_or_default();
    let template = user_template(doc);
    let mut out = Vec::with_capacity(2 + 2 * doc.shots.len());
    let system = doc.system.as_deref().filter(|s| !s.is_empty());
    let system = system.map(|s| fill(s, &[("{instruction}", instruction)]));
    out.extend(system.map(Message::system));
    // The instruction is said once: in the first turn.
    let mut said = instruction;
    for shot in &doc.shots {
        let parts = Parts {
            instruction: std::mem::take(&mut said),
            input: &shot.input,
            context: shot.context.as_deref().unwrap_or_default(),
            listed: &list_choices(&shot.choices, grader),
        };
        out.push(Message::user(parts.turn(&template)));
        out.push(Message::assistant(shot.output.clone()));
    }
    let parts = Parts {
        instruction: said,
        input: doc.question.as_deref().unwrap_or(&example.input),
        context: example.context.as_deref().unwrap_or_default(),
        listed: &list_choices(choices, grader),
    };
    out.push(Message::user(parts.turn(&template)));
    out
}

/// What the user says, with a slot for the instruction where no other message has one.
fn user_template(doc: &PromptDoc) -> String {
    const SLOT: &str = "{instruction}";
    let said = |text: Option<&str>| text.is_some_and(|t| t.contains(SLOT));
    match doc.instruction.is_some() && !said(doc.system.as_deref()) && !said(Some(&doc.user)) {
        true => format!("{SLOT}\n\n{}", doc.user),
        false => doc.user.clone(),
    }
}

/// What fills the slots of one turn.
struct Parts<'a> {
    instruction: &'a str,
    input: &'a str,
    context: &'a str,
    listed: &'a str,
}

impl Parts<'_> {
    /// A turn of the user's. What has no slot of its own is appended.
    fn turn(&self, template: &str) -> String {
        let slots = [
            ("{input}", self.input),
            ("{context}", self.context),
            ("{choices}", self.listed),
        ];
        let mut all = vec![("{instruction}", self.instruction)];
        all.extend(slots);
        let mut turn = fill(template, &all);
        if self.instruction.is_empty() {
            turn = turn.trim_start_matches('\n').to_owned();
        }
        for (slot, part) in slots {
            if !template.contains(slot) && !part.is_empty() {
                turn.push_str("\n\n");
                turn.push_str(part);
            }
        }
        turn
    }
}

/// Replaces the slots in one pass: text that was put in is never searched for slots again.
fn fill(template: &str, slots: &[(&str, &str)]) -> String {
    let mut out = String::with_capacity(template.len() + 256);
    let mut rest = template;
    'scan: while let Some(at) = rest.find('{') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        for (slot, value) in slots {
            if let Some(after) = rest.strip_prefix(slot) {
                out.push_str(value);
                rest = after;
                continue 'scan;
            }
        }
        out.push('{');
        rest = &rest[1..];
    }
    out.push_str(rest);
    out
}

fn list_choices(choices: &[String], grader: &Grader) -> String {
    if choices.is_empty() {
        return String::new();
    }
    let by_letter = !matches!(grader, Grader::ChoiceLoglik);
    let mut out = String::from(if by_letter { "" } else { "Choices:\n" });
    for (i, choice) in choices.iter().enumerate() {
        match (by_letter, letter(i)) {
            (true, Some(l)) => out.push_str(&format!("{l}. {choice}\n")),
            _ => out.push_str(&format!("- {choice}\n")),
        }
    }
    out.push_str(if by_letter {
        "\nAnswer with the letter of the right choice."
    } else {
        "\nAnswer with the right choice, as written."
    });
    out
}

/// The letter of a choice: A for 0. `None` past Z.
pub fn letter(index: usize) -> Option<char> {
    u8::try_from(index)
        .ok()
        .filter(|i| *i < 26)
        .map(|i| (b'A' + i) as char)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> Example {
        Example {
            input: "Which {choices} is a fruit?".into(),
            context: None,
            choices: ["apple", "brick", "cloud", "drum"]
                .map(String::from)
                .to_vec(),
            reference: Reference::Choice { index: 0 },
            group: None,
        }
    }

    fn asking<'a>(grader: &'a Grader, sampling: &'a Sampling, repeat: u32) -> Asking<'a> {
        Asking {
            grader,
            sampling,
            repeat,
            mismatched: &[],
        }
    }

    #[test]
    fn the_reference_follows_the_shuffled_choices() {
        let sampling = Sampling::default();
        for repeat in 0..20 {
            let asked = ask(
                &PromptDoc::default(),
                &example(),
                &asking(&Grader::ChoiceLoglik, &sampling, repeat),
            );
            let Reference::Choice { index } = asked.grade.reference else {
                panic!()
            };
            assert_eq!(asked.grade.choices[index], "apple");
        }
    }

    #[test]
    fn slots_inside_values_stay_text() {
        let sampling = Sampling::default();
        let asked = ask(
            &PromptDoc::default(),
            &example(),
            &asking(&Grader::ChoiceLetter, &sampling, 0),
        );
        let Call::Generate { messages, .. } = asked.call else {
            panic!()
        };
        insta::assert_snapshot!(messages[0].content, @r"
        Which {choices} is a fruit?

        A. apple
        B. brick
        C. cloud
        D. drum

        Answer with the letter of the right choice.
        ");
    }

    fn shown(doc: &PromptDoc) -> String {
        let example = Example {
            input: "a {input} film".into(),
            context: None,
            choices: Vec::new(),
            reference: Reference::Text {
                text: "good".into(),
            },
            group: None,
        };
        let sampling = Sampling::default();
        let asked = ask(doc, &example, &asking(&Grader::Exact, &sampling, 0));
        let Call::Generate { messages, .. } = asked.call else {
            panic!()
        };
        let said = |m: &Message| format!("[{:?}] {}", m.role, m.content);
        messages.iter().map(said).collect::<Vec<_>>().join("\n")
    }

    fn shot(input: &str, output: &str) -> Shot {
        Shot {
            example: Hash::of([input]),
            input: input.into(),
            context: None,
            choices: Vec::new(),
            output: output.into(),
        }
    }

    #[test]
    fn an_instruction_is_said_once_and_demonstrations_are_turns() {
        let doc = PromptDoc {
            instruction: Some("Good or bad, {input}?".into()),
            shots: vec![shot("dull", "bad"), shot("{instruction}", "good")],
            user: "{instruction}\n\nFilm: {input}".into(),
            ..PromptDoc::default()
        };
        insta::assert_snapshot!(shown(&doc), @r"
        [User] Good or bad, {input}?

        Film: dull
        [Assistant] bad
        [User] Film: {instruction}
        [Assistant] good
        [User] Film: a {input} film
        ");
        assert!(doc.shows(Hash::of(["dull"])) && !doc.shows(Hash::of(["fine"])));
    }

    #[test]
    fn an_instruction_stands_where_its_slot_is_or_first() {
        let doc = PromptDoc {
            instruction: Some("Judge.".into()),
            ..PromptDoc::default()
        };
        assert_eq!(shown(&doc), "[User] Judge.\n\na {input} film");
        let doc = PromptDoc {
            system: Some("You are kind. {instruction}".into()),
            ..doc
        };
        assert_eq!(
            shown(&doc),
            "[System] You are kind. Judge.\n[User] a {input} film"
        );
    }

    #[test]
    fn a_rewrite_changes_only_the_words() {
        let sampling = Sampling::default();
        let doc = PromptDoc::rewrite("Name the fruit.");
        let asked = ask(
            &doc,
            &example(),
            &asking(&Grader::ChoiceLoglik, &sampling, 0),
        );
        let Call::Loglik {
            messages,
            continuations,
            ..
        } = asked.call
        else {
            panic!()
        };
        assert!(
            messages[0]
                .content
                .starts_with("Name the fruit.\n\nChoices:\n- apple")
        );
        assert_eq!(continuations, example().choices);
    }
}
