use super::*;
use proptest::prelude::*;

const ORIGINAL: &str = "What gas do plants take in?";
const LIMITS: Limits = Limits {
    min_chars: 8,
    max_chars: 200,
};
const WANTED: &str = "Which gas do plants absorb from the air?";

fn reads(reply: &str) -> Result<String, Refusal> {
    read(reply, ORIGINAL, &LIMITS)
}

#[test]
fn the_rewrite_is_found_however_it_is_wrapped() {
    let replies = [
        "<prompt>Which gas do plants absorb from the air?</prompt>",
        "<prompt>\n  Which gas do plants absorb from the air?  \n</prompt>\n\nThis is clearer because…",
        "<PROMPT id=\"1\">Which gas do plants absorb from the air?</ Prompt >",
        "<prompt>Which gas do plants absorb from the air?",
        "<prompt>Which gas do plants absorb from the air?\n\nI kept all the facts.",
        "Which gas do plants absorb from the air?</prompt>",
        "<prompt>Which gas do plants absorb from the air?<prompt>",
        "<question>What gas do plants take in?</question>\n<prompt>Which gas do plants absorb from the air?</prompt>",
        "<question>Which gas do plants absorb from the air?</question>",
        "I write it between <prompt> and </prompt>.\n<prompt>Which gas do plants absorb from the air?</prompt>",
        "<prompt>Which gas do plants absorb from the air?</prompt><prompt>What do plants inhale, as gas?</prompt>",
        "<think>maybe <prompt>wrong one here</prompt></think>\nWhich gas do plants absorb from the air?",
        "Which gas do plants absorb from the air?",
        "```\nWhich gas do plants absorb from the air?\n```",
        "Here is the rewritten question:\n\n```text\nWhich gas do plants absorb from the air?\n```\nHope this helps!",
        "<prompt>```\nWhich gas do plants absorb from the air?\n```</prompt>",
        "\"Which gas do plants absorb from the air?\"",
        "“Which gas do plants absorb from the air?”",
        "**Which gas do plants absorb from the air?**",
        "The rewritten question is: Which gas do plants absorb from the air?",
        "Rewritten question: Which gas do plants absorb from the air?",
        "**Rewritten Question:** \"Which gas do plants absorb from the air?\"",
        "Sure! Here's a clearer version of the question:\n\nWhich gas do plants absorb from the air?\n\nLet me know if it helps.",
        "Certainly, here is the improved instruction: Which gas do plants absorb from the air?",
        "<prompt>Question: Which gas do plants absorb from the air?</prompt>",
        "1. Which gas do plants absorb from the air?\n2. What gas enters leaves?\n3. Name the gas.",
        "Here are three versions:\n- Which gas do plants absorb from the air?\n- What gas enters leaves?",
        "1) Which gas do plants absorb from the air?",
        "Version 1: Which gas do plants absorb from the air?\nVersion 2: What gas enters leaves?",
        "<prompt>Which gas do plants absorb from the air?\nA. Oxygen\nB. Carbon dioxide</prompt>",
        "<prompt>Which gas do plants absorb from the air?\nOptions:\n- Oxygen</prompt>",
        "<prompt>Which gas do plants absorb from the air?\nAnswer: carbon dioxide</prompt>",
        "<prompt>Which gas do\u{0} plants <|im_end|>absorb\u{200b} from\u{202e} the air?</prompt>",
        "<prompt>Which gas do plants <<|a|>|b|>absorb from the air?</s></prompt>",
        "<|im_start|>assistant: <prompt>Which gas do plants absorb from the air?</prompt><|im_end|>",
    ];
    for reply in replies {
        assert_eq!(reads(reply).as_deref(), Ok(WANTED), "{reply}");
    }
}

#[test]
fn what_is_no_rewrite_is_refused_by_name() {
    let long = format!("<prompt>{}</prompt>", "word ".repeat(100));
    let replies = [
        ("", "empty"),
        ("  \n<prompt></prompt>", "empty"),
        ("\u{200b}\u{7}<|endoftext|>", "empty"),
        ("<think>let me see", "empty"),
        ("<prompt>Gas?</prompt>", "too_short"),
        (&long, "too_long"),
        (
            "<prompt>what gas do  plants “take in”</prompt>",
            "unchanged",
        ),
        (ORIGINAL, "unchanged"),
        ("I'm sorry, but I can't help with that.", "declined"),
        (
            "<prompt>I cannot rewrite this question.</prompt>",
            "declined",
        ),
        (
            "As an AI language model I have no opinion on plants.",
            "declined",
        ),
        ("Unfortunately, I am unable to do so.", "declined"),
        ("<prompt>your rewritten question here</prompt>", "echo"),
        ("between <prompt> and </prompt>", "echo"),
        (
            "This is an example of a rewritten question. It is more focused than before.",
            "echo",
        ),
        (
            "Do not answer it. Do not add any hint about the answer.",
            "echo",
        ),
    ];
    for (reply, name) in replies {
        assert_eq!(reads(reply).map_err(|r| r.name()), Err(name), "{reply}");
    }
}

#[test]
fn the_whole_meta_prompt_is_an_echo() {
    use crate::operator::{Operator, ProposeContext, TaskKind};
    for kind in [TaskKind::Choice, TaskKind::Open, TaskKind::Code] {
        for operator in [
            Operator::Improve,
            Operator::Trajectory,
            Operator::Paraphrase,
        ] {
            let ctx = ProposeContext {
                original: ORIGINAL,
                kind,
                trajectory: &[],
                max_chars: 900,
            };
            let meta = &operator.messages(&ctx)[0].content;
            let limits = Limits {
                min_chars: 8,
                max_chars: 9000,
            };
            let tagged = format!("<prompt>{}</prompt>", meta.replace(['<', '>'], ""));
            assert_eq!(
                read(&tagged, ORIGINAL, &limits),
                Err(Refusal::Echo),
                "{meta}"
            );
            assert!(read(meta, ORIGINAL, &limits).is_err(), "{meta}");
        }
    }
}

#[test]
fn what_the_original_has_is_left_alone() {
    let limits = Limits {
        min_chars: 1,
        max_chars: 500,
    };
    let both = [
        (
            "1. Name a gas.\n2. Name a metal.",
            "1. Name one gas.\n2. Name one metal.",
        ),
        (
            "Note: be brief.\nExplanation of rain?",
            "Note: be quite brief.\nExplanation of the rain?",
        ),
        (
            "Question: why rain?\nAnswer:",
            "Question: why does it rain?\nAnswer:",
        ),
        ("\"Rain\" is a noun.", "\"Rain\" is one noun."),
        (
            "I'm sorry I am late. Correct it.",
            "I'm sorry that I am late. Correct it.",
        ),
        (
            "def f(x):\n\n    \"\"\"Add 1.\"\"\"",
            "def f(x):\n\n    \"\"\"Adds one to x.\"\"\"",
        ),
    ];
    for (original, better) in both {
        assert_eq!(read(better, original, &limits).as_deref(), Ok(better));
        let tagged = format!("<prompt>{better}</prompt>");
        assert_eq!(read(&tagged, original, &limits).as_deref(), Ok(better));
    }
}

#[test]
fn several_paragraphs_are_one_rewrite_between_tags() {
    let two = "Plants take in a gas from the air.\n\nWhich gas is it?";
    assert_eq!(
        reads(&format!("<prompt>{two}</prompt>")).as_deref(),
        Ok(two)
    );
}

#[test]
fn limits_count_characters() {
    let limits = Limits {
        min_chars: 4,
        max_chars: 4,
    };
    assert_eq!(
        read("<prompt>äöüß</prompt>", ORIGINAL, &limits).as_deref(),
        Ok("äöüß")
    );
    assert_eq!(
        read("<prompt>äöüßx</prompt>", ORIGINAL, &limits),
        Err(Refusal::TooLong)
    );
}

#[test]
fn a_long_original_can_be_kept() {
    let original = format!("Sum up: {}", "the ferry left at dawn. ".repeat(80));
    let limits = Limits::of(&original, 400);
    let kept = format!("Summarise this text. {original}");
    assert_eq!(
        read(&format!("<prompt>{kept}</prompt>"), &original, &limits),
        Ok(kept.trim().to_owned())
    );
    assert_eq!(
        read("<prompt>Summarise the text.</prompt>", &original, &limits),
        Err(Refusal::Lost(Lost::Passage))
    );
    assert_eq!(Limits::of("Why?", 400).max_chars, 400);
}

#[test]
fn a_version_that_keeps_the_material_is_taken_before_one_that_does_not() {
    let reply = "<prompt>How many days?</prompt> or <prompt>How long are 7 weeks in days?</prompt>";
    let read = read(reply, "7 weeks, how many days", &LIMITS);
    assert_eq!(read.as_deref(), Ok("How long are 7 weeks in days?"));
}

#[test]
fn fingerprints_ignore_looks() {
    assert_eq!(fingerprint("What's THIS?"), fingerprint("whats  this"));
    assert_ne!(fingerprint("What is 3 + 4?"), fingerprint("What is 3 / 4?"));
    assert_ne!(fingerprint("?"), fingerprint("!"));
}

#[test]
fn hostile_wrapping_ends() {
    for layer in [
        "1. ",
        "<prompt>",
        "<|",
        "Question: ",
        "\"",
        "```\n",
        "(",
        "\n\n",
    ] {
        let _ = reads(&layer.repeat(20_000));
        let _ = reads(&format!("{}x{}", "<|".repeat(9_000), "|>".repeat(9_000)));
    }
}

fn reply() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        Just("<prompt>"),
        Just("</prompt>"),
        Just("<question>"),
        Just("```\n"),
        Just("\""),
        Just("**"),
        Just("1. "),
        Just("- "),
        Just("\n\n"),
        Just("\n"),
        Just("Here is the rewritten question:"),
        Just("Question: "),
        Just("Sure! "),
        Just("<|im_end|>"),
        Just("<|"),
        Just("|>"),
        Just("Answer: "),
        Just("A. x\nB. y"),
        Just("This rewrite is good."),
        Just("Name the gas that plants need"),
        Just("\u{200d}"),
        Just("\u{202e}"),
        Just("é"),
        Just("</think>"),
        Just("Version 2: "),
        Just(" "),
    ];
    prop_oneof![
        prop::collection::vec(part, 0..14).prop_map(|p| p.concat()),
        any::<String>(),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn whatever_comes_the_rewrite_is_within_limits_and_reads_as_itself(reply in reply(), original in reply()) {
        if let Ok(text) = read(&reply, &original, &LIMITS) {
            let chars = text.chars().count();
            prop_assert!((LIMITS.min_chars..=LIMITS.max_chars).contains(&chars));
            prop_assert!(!text.chars().any(|c| c.is_control() && c != '\n' && c != '\t'));
            prop_assert!(!text.contains("<prompt>"));
            prop_assert!(fingerprint(&text) != fingerprint(&original));
            let again = read(&format!("<prompt>{text}</prompt>"), &original, &LIMITS);
            prop_assert_eq!(again, Ok(text));
        }
    }
}
