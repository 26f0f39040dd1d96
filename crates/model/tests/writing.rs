//! Texts that join and leave a running batch: none notices the others, and what is told of tokens is right.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a failure here is a failed test"
)]

mod common;

use common::{fixture_path, real, with_real};
use model::{Draft, Engine, Error, Finish, Options, Precision, Prefixes, Turn, Writing};

fn tiny(read_tokens: usize) -> Engine {
    let options = Options {
        read_tokens,
        ..Options::default()
    };
    Engine::load(&fixture_path("tiny-plain"), options).unwrap()
}

fn draft(engine: &Engine, text: &str) -> Draft {
    Draft {
        prompt: engine.encode_chat(&[Turn::new("user", text)]).unwrap(),
        plain: false,
        max_tokens: 16,
        temperature: 0.0,
        top_p: 1.0,
        stop: Vec::new(),
        seed: 3,
        tell: None,
        tell_prompt: false,
    }
}

fn alone(engine: &Engine, draft: &Draft) -> Writing {
    let mut text = engine.begin(draft.clone()).unwrap();
    while text.end().is_none() {
        engine.step(&mut [&mut text]).unwrap();
    }
    text
}

const QUESTIONS: [&str; 5] = [
    "What is the capital of France?",
    "Count from one to five, slowly.",
    "Say hello.",
    "Name a colour and a river, and say which of them is longer.",
    "Why?",
];

/// Writes all drafts, each of which joins so many steps after the one before; the last leaves in the middle.
fn in_company(engine: &Engine, drafts: &[Draft], every: usize) -> Vec<Writing> {
    let (mut running, mut step): (Vec<Writing>, usize) = (Vec::new(), 0);
    let mut left = false;
    loop {
        if step.is_multiple_of(every) && running.len() < drafts.len() && !left {
            running.push(engine.begin(drafts[running.len()].clone()).unwrap());
        }
        let last = running.get(drafts.len() - 1);
        if !left && last.is_some_and(|text| text.written().len() > 3 || text.end().is_some()) {
            running.pop();
            left = true;
        }
        if left && running.iter().all(|text| text.end().is_some()) {
            return running;
        }
        engine
            .step(&mut running.iter_mut().collect::<Vec<_>>())
            .unwrap();
        step += 1;
    }
}

fn check_company(engine: &Engine) {
    let mut drafts: Vec<Draft> = QUESTIONS.iter().map(|q| draft(engine, q)).collect();
    drafts[2].temperature = 1.0;
    // Not only the same tokens: the same bits of how probable each was.
    drafts.iter_mut().for_each(|draft| draft.tell = Some(2));
    for every in [1, 3] {
        let together = in_company(engine, &drafts, every);
        assert_eq!(together.len(), drafts.len() - 1);
        for (text, draft) in together.iter().zip(&drafts) {
            let alone = alone(engine, draft);
            assert_eq!(text.written(), alone.written());
            assert_eq!(text.told(), alone.told());
            assert_eq!(
                text.end().unwrap().as_ref().ok(),
                alone.end().unwrap().as_ref().ok()
            );
        }
    }
}

#[test]
fn a_text_is_the_same_in_any_company() {
    // A text of a few tokens a step, and all that is there at once.
    for read_tokens in [7, 1024] {
        check_company(&tiny(read_tokens));
    }
    with_real(|engine| check_company(engine));
}

#[test]
fn a_text_is_the_same_in_any_company_in_blocks_of_whole_numbers_too() {
    let Some(engine) = real(Options::default()) else {
        return;
    };
    assert_eq!(engine.description().precision, Precision::Native);
    check_company(&engine);
}

#[test]
fn a_prompt_read_in_pieces_is_the_same_prompt() {
    let question = "a question of some sixty letters, read seven tokens at a time";
    let (whole, pieces) = (tiny(1024), tiny(7));
    let draft = Draft {
        tell: Some(3),
        tell_prompt: true,
        ..draft(&whole, question)
    };
    let (whole, pieces) = (alone(&whole, &draft), alone(&pieces, &draft));
    assert_eq!(whole.written(), pieces.written());
    assert_eq!(whole.told(), pieces.told());
    assert_eq!(whole.told_prompt(), pieces.told_prompt());
}

#[test]
fn what_is_told_of_tokens_is_what_the_logits_say() {
    let engine = tiny(16);
    let draft = Draft {
        tell: Some(2),
        tell_prompt: true,
        max_tokens: 5,
        temperature: 1.0,
        ..draft(&engine, "how probable is this?")
    };
    let text = alone(&engine, &draft);
    let prompt = draft.prompt.len();
    assert_eq!(text.told_prompt().len(), prompt - 1);
    assert_eq!(text.told().len(), text.written().len());
    let all: Vec<u32> = draft.prompt.iter().chain(text.written()).copied().collect();
    let logits = engine.logits(&all).unwrap();
    let told = text.told_prompt().iter().chain(text.told());
    for (place, told) in told.enumerate() {
        let row = &logits[place];
        let total = row.iter().map(|v| f64::from(*v).exp()).sum::<f64>().ln();
        assert_eq!(told.token, all[place + 1]);
        let want = f64::from(row[told.token as usize]) - total;
        assert!(
            (told.logprob - want).abs() < 1e-5,
            "{place}: {want} {told:?}"
        );
        let best = row.iter().copied().fold(f32::MIN, f32::max);
        let want = f64::from(best) - total;
        assert!((told.likeliest[0].1 - want).abs() < 1e-5, "{place}");
        assert!(told.likeliest[1].1 <= told.likeliest[0].1);
    }
    // To weigh a text and write nothing is possible, and nothing else is when nothing is to be written.
    let weighed = Draft {
        max_tokens: 0,
        ..draft.clone()
    };
    let weighed = alone(&engine, &weighed);
    assert_eq!(weighed.told_prompt(), text.told_prompt());
    assert!(weighed.written().is_empty());
    assert!(matches!(weighed.end(), Some(Ok(Finish::Length))));
    let nothing = Draft {
        max_tokens: 0,
        tell_prompt: false,
        ..draft
    };
    assert!(matches!(engine.begin(nothing), Err(Error::Job(_))));
}

#[test]
fn a_text_grows_token_by_token_and_ends_before_its_stop() {
    with_real(|engine| {
        let draft = Draft {
            stop: vec!["zebra".into(), "France".into()],
            ..draft(engine, QUESTIONS[0])
        };
        let mut text = engine.begin(draft).unwrap();
        let mut before = String::new();
        while text.end().is_none() {
            engine.step(&mut [&mut text]).unwrap();
            let now = engine.text(&text).unwrap();
            assert!(
                now.starts_with(&before) || text.end().is_some(),
                "{before:?} {now:?}"
            );
            before = now;
        }
        assert_eq!(before, "The capital of ");
        let pieces = text
            .written()
            .iter()
            .map(|t| engine.tokeniser().piece(*t).unwrap());
        assert_eq!(pieces.collect::<String>(), "The capital of France");
    });
}

/// Writes the drafts one after the other, each after what is known of it; how much that was of each.
fn one_by_one(engine: &Engine, drafts: &[Draft], known: &mut Prefixes) -> Vec<(Writing, usize)> {
    let mut texts = Vec::new();
    for draft in drafts {
        let mut text = engine.begin_known(draft.clone(), known).unwrap();
        let before = text.known();
        while text.end().is_none() {
            engine.step(&mut [&mut text]).unwrap();
            // In parts, as a server does it while others wait.
            known.keep(&text);
        }
        texts.push((text, before));
    }
    texts
}

fn check_known(engine: &Engine) {
    let long = "Answer in short words. ";
    let questions = QUESTIONS.iter().map(|q| format!("{long}{q}"));
    let mut drafts: Vec<Draft> = questions.map(|q| draft(engine, &q)).collect();
    // The same again, and one that leaves the others in the middle of what they have in common.
    drafts.push(drafts[1].clone());
    drafts.push(draft(engine, "Answer in short order."));
    drafts.push(drafts[2].clone());
    drafts.iter_mut().for_each(|draft| draft.tell = Some(2));
    let mut known = Prefixes::new(1 << 30);
    let texts = one_by_one(engine, &drafts, &mut known);
    for ((text, _), draft) in texts.iter().zip(&drafts) {
        let alone = alone(engine, draft);
        assert_eq!(text.written(), alone.written());
        assert_eq!(text.told(), alone.told());
    }
    let common = |a: usize, b: usize| {
        let both = drafts[a].prompt.iter().zip(&drafts[b].prompt);
        both.take_while(|(a, b)| a == b).count()
    };
    let before: Vec<usize> = texts.iter().map(|(_, before)| *before).collect();
    assert_eq!(before[0], 0);
    // What a text has in common with one before it, but for a few tokens that are not worth a node.
    let most = |i: usize| (0..i).map(|j| common(i, j)).max().unwrap();
    for i in 1..drafts.len() {
        let most = most(i).min(drafts[i].prompt.len() - 1);
        assert!(
            before[i] <= most && before[i] + 16 > most,
            "{i}: {before:?}"
        );
    }
    assert!(known.bytes() > 0);
}

#[test]
fn a_text_after_a_known_beginning_has_the_same_bits() {
    check_known(&tiny(1024));
    check_known(&tiny(7));
}

#[test]
fn the_real_model_goes_on_from_known_beginnings() {
    with_real(|engine| check_known(engine));
}

#[test]
fn what_is_known_stays_within_its_bounds() {
    let engine = tiny(1024);
    let long = |i: usize| draft(&engine, &format!("{i} {}", "many words ".repeat(6)));
    let drafts: Vec<Draft> = (0..12).map(long).collect();
    let mut all = Prefixes::new(1 << 30);
    one_by_one(&engine, &drafts, &mut all);
    let bound = all.bytes() / 3;
    let mut some = Prefixes::new(bound);
    one_by_one(&engine, &drafts, &mut some);
    assert!(some.bytes() > 0 && some.bytes() <= bound);
    // The last are known, the first are not.
    let again = [drafts[11].clone(), drafts[0].clone()];
    let texts = one_by_one(&engine, &again, &mut some);
    assert!(texts[0].1 + 16 >= drafts[11].prompt.len(), "{}", texts[0].1);
    assert!(texts[1].1 < drafts[0].prompt.len() / 2, "{}", texts[1].1);
    let mut none = Prefixes::new(0);
    let texts = one_by_one(&engine, &[drafts[0].clone(), drafts[0].clone()], &mut none);
    assert!(texts.iter().all(|(_, known)| *known == 0));
    assert_eq!(none.bytes(), 0);
}

#[test]
fn who_begins_as_another_is_being_read_waits_for_it() {
    let engine = tiny(8);
    let mut drafts: Vec<Draft> = ["red", "blue"]
        .map(|end| draft(&engine, &format!("{} {end}", "a long beginning".repeat(4))))
        .to_vec();
    let mut known = Prefixes::new(1 << 30);
    let mut first = engine.begin_known(drafts[0].clone(), &mut known).unwrap();
    assert!(engine.is_coming(&drafts[1], &first, &known));
    assert!(!engine.is_coming(&drafts[1], &first, &Prefixes::new(0)));
    drafts[1].tell_prompt = true;
    assert!(!engine.is_coming(&drafts[1], &first, &known));
    drafts[1].tell_prompt = false;
    while !first.is_read() {
        engine.step(&mut [&mut first]).unwrap();
        known.keep(&first);
    }
    assert!(!engine.is_coming(&drafts[1], &first, &known));
    let second = engine.begin_known(drafts[1].clone(), &mut known).unwrap();
    assert!(second.known() > 16, "{}", second.known());
}
