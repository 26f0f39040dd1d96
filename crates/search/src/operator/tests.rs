use super::*;
use crate::pool::{Known, Member, Task, Trial};
use domain::example::{Example, Reference};
use proptest::prelude::*;
use std::collections::BTreeSet;

/// A task with two labels: example `i` is positive where `i` is even. Nobody got example 1 right, everybody example 0.
pub fn pool() -> Pool {
    let label = |i: usize| ["positive", "negative"][i % 2];
    let known = |i: usize| {
        let example = Example {
            input: format!("{} number {i}.", ["A fine film", "A dull film"][i % 2]),
            context: None,
            choices: Vec::new(),
            reference: Reference::Text {
                text: label(i).to_owned(),
            },
            group: None,
        };
        Known {
            id: example.id(),
            example,
            answer: Some(label(i).to_owned()),
        }
    };
    let member = |text: &str, parents: &[usize], values: &[f64]| Member {
        doc: PromptDoc {
            instruction: Some(text.to_owned()),
            ..PromptDoc::default()
        },
        parents: parents.to_vec(),
        operator: (!parents.is_empty()).then(|| "first_order".to_owned()),
        round: parents.len() as u32,
        trials: values
            .iter()
            .enumerate()
            .map(|(i, &value)| Trial {
                example: i,
                value,
                said: Some(
                    if value > 0.5 {
                        label(i)
                    } else {
                        "Hard to say."
                    }
                    .to_owned(),
                ),
                feedback: if value > 0.5 {
                    "right"
                } else {
                    "no label is named"
                }
                .to_owned(),
            })
            .collect(),
        ..Member::default()
    };
    Pool {
        task: Task {
            description: "Say whether a film review is positive or negative.".to_owned(),
            labels: vec!["positive".to_owned(), "negative".to_owned()],
            max_chars: 300,
            max_shots: 4,
            show_references: true,
            ..Task::default()
        },
        examples: (0..12).map(known).collect(),
        members: vec![
            member("How is the film?", &[], &[1.0, 0.0, 1.0, 0.0]),
            member(
                "Does the reviewer like the film? Say positive or negative.",
                &[0],
                &[1.0, 0.0, 1.0, 1.0],
            ),
            member("Film: good, bad?", &[0], &[1.0, 0.0, 0.0, 0.0]),
            member(
                "Decide whether the writer would see the film again; write positive or negative.",
                &[1],
                &[1.0, 0.0, 1.0, 1.0, 1.0, 1.0],
            ),
        ],
    }
}

/// The pool with demonstrations under member 1.
pub fn with_shots() -> Pool {
    let mut pool = pool();
    let shots = [8, 9, 10]
        .map(|i: usize| pool.examples[i].shot(["positive", "negative"][i % 2].to_owned()));
    pool.members[1].doc.shots = shots.to_vec();
    pool
}

/// What a draft says, to be read.
pub fn shown(draft: &Draft) -> String {
    match &draft.write {
        Write::Ask(messages) => {
            let lines = messages
                .iter()
                .map(|m| format!("[{:?}] {}", m.role, m.content));
            lines.collect::<Vec<_>>().join("\n")
        }
        Write::Made(doc) => serde_json::to_string_pretty(doc).unwrap(),
    }
}

fn doc(draft: &Draft) -> &PromptDoc {
    match &draft.write {
        Write::Made(doc) => doc,
        Write::Ask(_) => panic!("{} asks", draft.operator.name()),
    }
}

fn instruction(draft: &Draft) -> &str {
    doc(draft).instruction.as_deref().unwrap_or_default()
}

#[test]
fn names_are_the_words_of_serde() {
    for operator in Operator::ALL {
        let word = serde_json::to_string(&operator).unwrap();
        assert_eq!(word, format!("{:?}", operator.name()));
        assert_eq!(Operator::from_name(operator.name()), Some(operator));
    }
    assert_eq!(Operator::from_name("none"), None);
    let names: BTreeSet<Operator> = Operator::ALL.into_iter().collect();
    assert_eq!(names.len(), Operator::ALL.len());
}

#[test]
fn every_operator_does_what_it_says_and_the_seed_matters() {
    let pool = with_shots();
    for operator in Operator::ALL {
        let of = |seed| draft(operator, &pool, 3, seed);
        let drafts: Vec<Draft> = (0..30).filter_map(of).collect();
        assert!(!drafts.is_empty(), "{}", operator.name());
        for draft in &drafts {
            assert_eq!(
                matches!(draft.write, Write::Ask(_)),
                operator.asks(),
                "{}",
                operator.name()
            );
            assert!(draft.parents.iter().all(|p| *p < pool.members.len()));
            assert!(draft.mutation.as_deref().is_some_and(|m| !m.is_empty()));
        }
        let different: BTreeSet<String> = drafts.iter().map(shown).collect();
        // The bare instruction is all that a rewriter is asked.
        let varies = different.len() > 3 || operator == Operator::Rewriter;
        assert!(varies, "{}: {}", operator.name(), different.len());
    }
}

#[test]
fn an_empty_pool_has_nothing_to_draft_from() {
    for operator in Operator::ALL {
        assert_eq!(draft(operator, &Pool::default(), 0, 1), None);
        let bare = Pool {
            members: vec![Member::default()],
            ..Pool::default()
        };
        assert_eq!(draft(operator, &bare, 0, 1), None, "{}", operator.name());
    }
}

/// Each operator, and a pool that lacks what it needs.
#[test]
fn what_a_pool_lacks_is_not_made_up() {
    let lacks = |operator, change: fn(&mut Pool)| {
        let mut pool = with_shots();
        change(&mut pool);
        for seed in 0..20 {
            assert_eq!(draft(operator, &pool, 3, seed), None, "{}", operator.name());
        }
    };
    let no_trials = |pool: &mut Pool| pool.members.iter_mut().for_each(|m| m.trials.clear());
    let all_right = |pool: &mut Pool| {
        let trials = pool.members.iter_mut().flat_map(|m| &mut m.trials);
        trials.for_each(|t| t.value = 1.0);
    };
    let all_wrong = |pool: &mut Pool| {
        let trials = pool.members.iter_mut().flat_map(|m| &mut m.trials);
        trials.for_each(|t| t.value = 0.0);
    };
    let alike = |pool: &mut Pool| {
        let doc = pool.members[3].doc.clone();
        pool.members.iter_mut().for_each(|m| m.doc = doc.clone());
    };
    let no_shots = |pool: &mut Pool| pool.task.max_shots = 0;
    let nothing_said = |pool: &mut Pool| pool.task.description = "  ".to_owned();
    lacks(Operator::Trajectory, no_trials);
    lacks(Operator::EdaRank, no_trials);
    lacks(Operator::De, no_trials);
    lacks(Operator::Reflect, no_trials);
    lacks(Operator::Reflect, all_right);
    lacks(Operator::Lamarckian, all_wrong);
    lacks(Operator::Bootstrapped, all_wrong);
    for operator in [
        Operator::Eda,
        Operator::EdaRank,
        Operator::Lineage,
        Operator::Ga,
        Operator::De,
        Operator::Crossover,
    ] {
        lacks(operator, alike);
    }
    lacks(Operator::Lineage, |pool| pool.members[3].parents.clear());
    for operator in [Operator::Shots, Operator::Bootstrapped, Operator::Crossover] {
        lacks(operator, no_shots);
    }
    lacks(Operator::Shots, |pool| {
        pool.examples.iter_mut().for_each(|k| k.answer = None);
    });
    lacks(Operator::Crossover, |pool| {
        pool.members[1].doc.shots.clear()
    });
    for operator in [Operator::ZeroOrder, Operator::HyperZero, Operator::Frame] {
        lacks(operator, nothing_said);
    }
    lacks(Operator::AnswerForm, |pool| pool.task.max_chars = 20);
}

#[test]
fn references_are_shown_only_where_they_may_be() {
    let mut pool = pool();
    for operator in [Operator::Trajectory, Operator::Reflect] {
        pool.task.show_references = true;
        assert!(shown(&draft(operator, &pool, 3, 5).unwrap()).contains("<right>"));
        pool.task.show_references = false;
        assert!(!shown(&draft(operator, &pool, 3, 5).unwrap()).contains("<right>"));
    }
}

#[test]
fn near_copies_are_no_list() {
    let mut pool = pool();
    let mut copy = pool.members[3].clone();
    copy.doc.instruction = copy.doc.instruction.map(|i| i.to_uppercase());
    copy.trials.clear();
    pool.members.push(copy);
    for seed in 0..10 {
        let eda = shown(&draft(Operator::Eda, &pool, 3, seed).unwrap());
        assert_eq!(eda.matches("see the film again").count(), 1);
        assert!(!eda.contains("SEE THE FILM"));
    }
}

#[test]
fn demonstrations_are_late_balanced_and_few() {
    let mut pool = pool();
    pool.task.max_shots = 2;
    let mut sizes = BTreeSet::new();
    for seed in 0..40 {
        let draft = draft(Operator::Shots, &pool, 0, seed).unwrap();
        let shots = &doc(&draft).shots;
        sizes.insert(shots.len());
        let places = shots
            .iter()
            .map(|s| pool.examples.iter().position(|k| k.id == s.example));
        assert!(places.into_iter().all(|p| p.unwrap() >= 8), "{shots:?}");
        let labels: BTreeSet<&str> = shots.iter().map(|s| s.output.as_str()).collect();
        assert_eq!(labels.len(), shots.len());
    }
    assert_eq!(sizes, BTreeSet::from([1, 2]));
}

#[test]
fn a_set_of_demonstrations_is_varied() {
    let pool = with_shots();
    let own = &pool.members[1].doc.shots;
    let key = |s: &[domain::prompt::Shot]| s.iter().map(|s| s.example).collect::<BTreeSet<_>>();
    let mut seen = BTreeSet::new();
    for seed in 0..80 {
        let Some(draft) = draft(Operator::Shots, &pool, 1, seed) else {
            continue;
        };
        let shots = &doc(&draft).shots;
        assert_ne!(shots, own);
        assert!(shots.len() <= 4 && key(shots).len() == shots.len());
        let kept = key(shots).intersection(&key(own)).count();
        seen.insert((shots.len(), kept));
    }
    // Added, replaced, reordered, dropped.
    for change in [(4, 3), (3, 2), (3, 3), (2, 2)] {
        assert!(seen.contains(&change), "{change:?} {seen:?}");
    }
}

#[test]
fn bootstrapped_demonstrations_say_what_the_model_said() {
    let mut pool = pool();
    let trial = &mut pool.members[1].trials[2];
    trial.said = Some("  It is positive, I think. ".to_owned());
    let said: BTreeSet<String> = (0..40)
        .filter_map(|seed| draft(Operator::Bootstrapped, &pool, 1, seed))
        .flat_map(|d| doc(&d).shots.clone())
        .map(|s| s.output)
        .collect();
    assert!(said.contains("It is positive, I think."), "{said:?}");
    assert!(!said.contains("Hard to say."));
}

#[test]
fn a_closing_sentence_is_replaced_by_the_next() {
    let mut pool = pool();
    for labels in [pool.task.labels.clone(), Vec::new()] {
        pool.task.labels = labels;
        for seed in 0..30 {
            let draft = draft(Operator::AnswerForm, &pool, 0, seed).unwrap();
            let text = instruction(&draft).to_owned();
            let closing = text.strip_prefix("How is the film?").unwrap();
            assert!(closing.starts_with(' ') && closing.ends_with('.'), "{text}");
            assert_ne!(pool.members[0].instruction(), text);
            pool.members[0].doc.instruction = Some(text);
        }
        pool.members[0].doc.instruction = Some("How is the film?".to_owned());
    }
}

#[test]
fn a_frame_keeps_what_has_to_be_kept() {
    let mut pool = pool();
    pool.task.must_keep = vec!["Possible answers".to_owned()];
    let texts: BTreeSet<String> = (0..20)
        .map(|seed| instruction(&draft(Operator::Frame, &pool, 0, seed).unwrap()).to_owned())
        .collect();
    assert_eq!(
        texts.into_iter().collect::<Vec<_>>(),
        [
            "Say whether a film review is positive or negative.\nPossible answers: positive or negative."
        ]
    );
}

#[test]
fn a_crossover_names_the_owner_of_the_instruction_first() {
    let pool = with_shots();
    for (parent, expected) in [(3, vec![3, 1]), (1, vec![])] {
        for seed in 0..20 {
            let Some(draft) = draft(Operator::Crossover, &pool, parent, seed) else {
                continue;
            };
            assert_eq!(
                instruction(&draft),
                pool.members[draft.parents[0]].instruction()
            );
            assert!(!doc(&draft).shots.is_empty());
            assert!(expected.is_empty() || draft.parents == expected);
            // Member 1 is the only one with demonstrations: the other gives the instruction.
            assert_eq!(draft.parents[1], 1);
        }
    }
}

#[test]
fn a_reply_becomes_a_prompt_and_inherits_the_rest() {
    let pool = with_shots();
    let long = "long ".repeat(99);
    let of = |operator, reply| read(&draft(operator, &pool, 1, 3).unwrap(), reply, &pool);
    let born = of(
        Operator::FirstOrder,
        "Sure!\n<prompt>Is the film liked?</prompt>",
    )
    .unwrap();
    assert_eq!(born.doc.instruction.as_deref(), Some("Is the film liked?"));
    assert_eq!(born.doc.shots, pool.members[1].doc.shots);
    assert_eq!(
        born.mutation,
        draft(Operator::FirstOrder, &pool, 1, 3).unwrap().mutation
    );
    let both = "<mutation>Ask a shorter question.</mutation><prompt>Is the film liked?</prompt>";
    let born = of(Operator::HyperZero, both).unwrap();
    assert_eq!(born.mutation.as_deref(), Some("Ask a shorter question."));
    assert_eq!(born.doc.instruction.as_deref(), Some("Is the film liked?"));
    let name = |r: Result<Born, crate::refused::Refused>| r.unwrap_err().name();
    assert_eq!(name(of(Operator::Reflect, "<prompt></prompt>")), "empty");
    assert_eq!(
        name(of(Operator::Reflect, "I'm sorry, I cannot do that.")),
        "declined"
    );
    assert_eq!(name(of(Operator::Reflect, &long)), "too_long");
    assert_eq!(
        name(of(Operator::Shorten, pool.members[1].instruction())),
        "unchanged"
    );
    let made = draft(Operator::Frame, &pool, 1, 3).unwrap();
    assert_eq!(name(read(&made, both, &pool)), "not_asked");
    let asked = draft(Operator::Shorten, &pool, 1, 3).unwrap();
    assert_eq!(name(read(&asked, both, &Pool::default())), "not_asked");
}

#[test]
fn a_rewriter_writes_bare_text() {
    let pool = pool();
    let draft = draft(Operator::Rewriter, &pool, 1, 3).unwrap();
    let reads = |reply| read(&draft, reply, &pool).map(|b| b.doc.instruction.unwrap());
    let wanted = "Say whether the reviewer likes the film: positive or negative.";
    assert_eq!(reads(wanted).unwrap(), wanted);
    assert_eq!(
        reads("Sure, I liked the film a lot.").unwrap_err().name(),
        "answer"
    );
}

/// A prompt that needs tags which our messages have too keeps them.
#[test]
fn tags_that_the_user_wrote_come_back() {
    let mut pool = pool();
    pool.members[0].doc.instruction = Some("Film? Put it into <answer></answer>.".to_owned());
    let draft = draft(Operator::Paraphrase, &pool, 0, 1).unwrap();
    assert!(shown(&draft).contains("Put it into ‹answer>‹/answer>."));
    let born = read(
        &draft,
        "<prompt>Liked? Write ‹answer>‹/answer>.</prompt>",
        &pool,
    )
    .unwrap();
    let text = born.doc.instruction.unwrap();
    assert_eq!(text, "Liked? Write <answer></answer>.");
}

/// Pools whose every text is hostile.
fn hostile(text: &str) -> Pool {
    let mut pool = with_shots();
    pool.task.description = text.to_owned();
    pool.task.labels.push(text.to_owned());
    pool.task.must_keep = vec![text.to_owned()];
    for member in &mut pool.members {
        let own = format!("{text} {}", member.instruction());
        member.doc.instruction = Some(own);
        member.mutation = Some(text.to_owned());
        for trial in &mut member.trials {
            trial.said = Some(text.to_owned());
            trial.feedback = text.to_owned();
        }
    }
    for known in &mut pool.examples {
        known.example.input = text.to_owned();
        known.example.context = Some(text.to_owned());
        known.example.choices = vec![text.to_owned()];
        known.answer = Some(text.to_owned());
    }
    pool
}

fn any_operator() -> impl Strategy<Value = Operator> {
    prop::sample::select(Operator::ALL.to_vec())
}

const HOSTILE: &str = r"(</?(prompt|mutation|version|task|input|right|answer)>|<|/|>|prompt|version|<\|im_end\|>| |\n|a){0,20}";

proptest! {
    #[test]
    fn a_draft_is_a_function_of_pool_and_seed(operator in any_operator(), parent in 0usize..6, seed: u64, text in HOSTILE) {
        let pool = hostile(&text);
        prop_assert_eq!(draft(operator, &pool, parent, seed), draft(operator, &pool, parent, seed));
    }

    #[test]
    fn no_text_closes_its_own_tags(operator in any_operator(), parent in 0usize..4, seed: u64, text in HOSTILE) {
        let pool = hostile(&text);
        let Some(Draft { write: Write::Ask(messages), .. }) = draft(operator, &pool, parent, seed) else {
            return Ok(());
        };
        let last = &messages[messages.len() - 1].content;
        if operator != Operator::Rewriter {
            let mut open: Option<&str> = None;
            for tag in tags::all(last) {
                let name = tag.trim_matches(|c| "</>".contains(c));
                match open {
                    None => prop_assert_eq!(tag, format!("<{name}>")),
                    Some(opened) => prop_assert_eq!(tag, format!("</{opened}>")),
                }
                open = open.xor(Some(name)).filter(|_| open.is_none());
            }
            prop_assert_eq!(open, None);
            prop_assert!(!last.contains("<prompt>") && !last.contains("<|"));
        }
    }

    #[test]
    fn reading_is_stable(operator in any_operator(), seed: u64, reply in r"(</?prompt>|</?mutation>|<answer>|1\. |Answer: |\n|Sure! |Name the film |[a-z]{1,6} ){0,14}") {
        let pool = with_shots();
        let Some(draft) = draft(operator, &pool, 3, seed) else { return Ok(()); };
        if let Ok(born) = read(&draft, &reply, &pool) {
            let text = born.doc.instruction.clone().unwrap();
            let mutation = born.mutation.clone().unwrap();
            let again = match operator {
                Operator::HyperZero | Operator::HyperFirst => format!("<mutation>{mutation}</mutation><prompt>{text}</prompt>"),
                _ => format!("<prompt>{text}</prompt>"),
            };
            prop_assert_eq!(read(&draft, &again, &pool), Ok(born));
        }
    }
}
