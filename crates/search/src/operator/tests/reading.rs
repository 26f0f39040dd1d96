//! What becomes of a proposer's reply.

use super::{super::*, pool, shown, with_shots};
use crate::refused::Refused;

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
    assert_eq!(born.instruction.as_deref(), Some("Is the film liked?"));
    assert_eq!(born.shots, pool.members[1].doc.shots);
    assert_eq!(
        born.mutation,
        draft(Operator::FirstOrder, &pool, 1, 3).unwrap().mutation
    );
    let both = "<mutation>Ask a shorter question.</mutation><prompt>Is the film liked?</prompt>";
    let born = of(Operator::HyperZero, both).unwrap();
    assert_eq!(born.mutation.as_deref(), Some("Ask a shorter question."));
    assert_eq!(born.instruction.as_deref(), Some("Is the film liked?"));
    let name = |r: Result<PromptDoc, Refused>| r.unwrap_err().name();
    assert_eq!(name(of(Operator::Reflect, "<prompt></prompt>")), "empty");
    assert_eq!(
        name(of(Operator::Reflect, "I'm sorry, I cannot do that.")),
        "declined"
    );
    assert_eq!(name(of(Operator::Reflect, &long)), "too_long");
    assert_eq!(
        name(of(Operator::Shorten, pool.members[1].words())),
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
    let reads = |reply| read(&draft, reply, &pool).map(|doc| doc.instruction.unwrap());
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
    let text = born.instruction.unwrap();
    assert_eq!(text, "Liked? Write <answer></answer>.");
}
