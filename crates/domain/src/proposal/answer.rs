//! Whether a rewrite answers the prompt instead of asking it better.
//!
//! A small rewriter forgets its work now and then and replies to what it should rewrite. A prompt asks: by a question
//! mark, by a sentence that begins as an order or a question, or by a turn of phrase ("your task is"), and it does so at
//! its beginning or its end, or most of the time: somewhere in a long reply is always a sentence like that. Where the
//! original asks and the rewrite does not, the rewrite is no prompt. So is one that opens like a reply ("Sure, …").
//!
//! English only: a text of another language is not judged. `crates/domain/tests/answers.rs` measures it.

use super::regex;
use crate::leak::lexicon::is_stop;
use regex::Regex;
use std::{collections::HashSet, sync::LazyLock};

/// Words that open an order or a question.
static OPENINGS: LazyLock<HashSet<&str>> = LazyLock::new(|| {
    "act adapt add address adjust advise analyse analyze annotate answer apply argue arrange ask assemble assess assign \
     assist assume auto begin brainstorm break build calculate call capture categorise categorize change characterise \
     characterize check choose cite clarify classify clean cluster code collect combine comment compare compile complete \
     compose compute conclude condense conduct connect consider construct contrast convert copy correct count craft \
     create critique cross debug decide deduce define delete demonstrate derive describe design detail detect determine \
     develop devise diagnose differentiate discuss display distinguish divide do document don don't draft draw edit \
     elaborate eliminate embed enumerate estimate evaluate examine execute expand explain explore express extend extract \
     fill find finish fix flag focus follow forecast format formulate gather generate give given grade group guess help \
     highlight how identify illustrate imagine implement improve include incorporate infer inform insert interpret \
     introduce invent investigate judge justify keep label learn let let's limit list locate look make mark match measure \
     mention modify multiply name note offer optimise optimize order organise organize outline output paraphrase perform \
     pick plan please point predict prepare present print process produce program proofread propose prove provide \
     punctuate put rank rate re read rearrange recall recap recite recommend reconstruct refactor reflect regenerate relate \
     remind remove rename reorder reorganise reorganize rephrase replace reply report represent research respond restate \
     return reverse review revise reword rewrite role rotate say search select separate serve share show simplify \
     simulate sketch solve sort speak specify spell split start state structure submit substitute subtract suggest sum \
     summarise summarize suppose take talk teach tell test think trace train transcribe transform translate try turn type \
     understand update use using utilise utilize validate verify visualise visualize weigh what when where which who \
     whom whose why work wrap write"
        .split_whitespace()
        .collect()
});

/// Words before the first that counts.
const LEADS: [&str; 17] = [
    "please",
    "kindly",
    "then",
    "now",
    "also",
    "and",
    "next",
    "first",
    "finally",
    "briefly",
    "clearly",
    "just",
    "so",
    "or",
    "but",
    "carefully",
    "concisely",
];

/// What stands behind a verb that orders, and seldom behind a noun that a statement begins with.
const OBJECTS: [&str; 17] = [
    "a",
    "an",
    "the",
    "this",
    "these",
    "those",
    "your",
    "my",
    "me",
    "us",
    "each",
    "all",
    "any",
    "every",
    "it",
    "them",
    "following",
];

/// Whether `rewrite` replies to `original` instead of asking it in other words.
pub fn answers(original: &str, rewrite: &str) -> bool {
    let reply = regex!(
        r"(?i)^\W*(?:(?:yes|no|sure|certainly|absolutely)\b\s*[,.!:–—-]|of course\b|(?:the |my )?(?:correct )?answer\b\s*(?:is|:)",
        r"|here (?:is|are)\b|i (?:think|believe)\b|as an ai\b)"
    );
    if reply.is_match(rewrite) && !reply.is_match(original) {
        return true;
    }
    asks_somewhere(original) && !is_prompt(rewrite) && is_english(rewrite)
}

/// In so few sentences one that asks is enough, wherever it stands.
const FEW: usize = 3;

/// Whether a text asks as a whole: in its first or last sentence, in one of few, or in more than a third of them.
fn is_prompt(text: &str) -> bool {
    let asking: Vec<bool> = sentences(text).map(asks).collect();
    let count = asking.iter().filter(|asks| **asks).count();
    match asking.as_slice() {
        [true, ..] | [.., true] => true,
        all => count > 0 && (all.len() <= FEW || 3 * count > all.len()),
    }
}

fn asks_somewhere(text: &str) -> bool {
    sentences(text).any(asks)
}

/// The sentences and lines of a text, with the mark that ends each.
fn sentences(text: &str) -> impl Iterator<Item = &str> {
    let ends = regex!(r"[.!?？؟]+(?:\s+|$)|\n+|$");
    let mut start = 0;
    let cut = ends.find_iter(text).map(move |end| {
        let sentence = &text[start..end.end()];
        start = end.end();
        sentence
    });
    let said = |s: &&str| s.chars().filter(|c| c.is_alphanumeric()).count() > 1;
    cut.filter(said)
}

fn asks(sentence: &str) -> bool {
    let turn = regex!(
        r"(?i)[?？؟]|\b(?:please|you are (?:an?|given|provided)|your (?:task|goal|job|role)|you (?:should|will|must|need)",
        r"|i(?: want|['’]d like| would like| need)|we(?: want| need)|(?:can|could) you|let['’]s|(?:help|tell|teach) me)\b"
    );
    // How replies end, which is no order to the reader.
    let closing = regex!(
        r"(?i)\b(?:let me know if|feel free to|hope (?:this|that|these|it) |happy to help|glad to help)"
    );
    let parts = regex!(r"[.!:;,\n]+|\s[–—-]\s");
    !closing.is_match(sentence) && (turn.is_match(sentence) || parts.split(sentence).any(orders))
}

/// Whether a sentence, or a part of one, begins as an order or a question does.
fn orders(sentence: &str) -> bool {
    let lower = sentence.to_lowercase();
    let mut words = lower
        .split(|c: char| !c.is_alphanumeric() && c != '\'')
        .filter(|word| !word.is_empty())
        .skip_while(|word| LEADS.contains(word));
    let Some(first) = words.next() else {
        return false;
    };
    let object = words.next().is_some_and(|word| OBJECTS.contains(&word));
    OPENINGS.contains(first)
        || (object && !is_stop(first) && first.chars().all(char::is_alphabetic))
}

/// Whether a text has a word by which English is known; a few words need none.
fn is_english(text: &str) -> bool {
    let lower = text.to_lowercase();
    let mut words = lower
        .split(|c: char| !c.is_alphanumeric())
        .filter(|w| !w.is_empty());
    words.clone().count() <= 3 || words.any(is_stop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_are_told_from_prompts() {
        let original = "what gas do plants take in";
        for reply in [
            "Plants take in carbon dioxide.",
            "Carbon dioxide",
            "The answer is carbon dioxide. Explain why plants need it.",
            "Sure! Plants take in carbon dioxide and give off oxygen.",
            "Photosynthesis turns carbon dioxide into sugar, and the gas comes from the air.",
            "Plants take in carbon dioxide. It enters by small pores. They use light to make sugar of it. Make no \
             mistake: oxygen is left over. Animals breathe that.",
            "Plants take in carbon dioxide. Let me know if you need more!",
        ] {
            assert!(answers(original, reply), "{reply}");
        }
        for prompt in [
            "Which gas do plants absorb from the air?",
            "Name the gas that plants take in, and say where it comes from.",
            "In one sentence, state the gas that plants absorb.",
            "Please name the gas.",
            "You are a botanist. A pupil wants to know the gas that plants take in.",
            "Elucidate the gas that plants absorb.",
            "My pupils learn about plants. They know that plants need light. They know that water comes from the soil. \
             They have heard of air. Explain which gas plants take in.",
        ] {
            assert!(!answers(original, prompt), "{prompt}");
        }
    }

    #[test]
    fn what_does_not_ask_or_is_not_english_is_not_judged() {
        assert!(!answers("Rain", "Rain in the mountains of Peru"));
        assert!(answers("Rain", "Here is a text on rain: it falls."));
        let (original, better) = (
            "Was ist Photosynthese?",
            "Erkläre Photosynthese anhand eines Beispiels.",
        );
        assert!(!answers(original, better));
        // A prompt may open like a reply where the original did.
        assert!(!answers("Yes, but why?", "Yes, but what is the reason?"));
    }
}
