//! Something added decodes to the answer, or to readable text at all.

use super::{Leak, Rule, cipher, view::View};

/// Characters that a token may end or begin with without being part of it.
const AROUND: [char; 14] = [
    '.', ',', ';', ':', '!', '?', '(', ')', '[', ']', '"', '\'', '<', '>',
];

pub(super) fn rule(view: &View) -> Option<Leak> {
    let tokens = new_tokens(view);
    let letters = answers(view);
    let leak = |how: &str| {
        Some(Leak::new(
            Rule::Encoding,
            format!("the added text holds {how}"),
        ))
    };
    for token in &tokens {
        for (how, text) in cipher::decode(token) {
            if text.len() >= 6 && cipher::is_readable(&text) || holds(&squeeze(&text), &letters) {
                return leak(how);
            }
        }
        if let Some(how) = hidden(token, &letters) {
            return leak(how);
        }
        if is_number(token, view) {
            return leak("a number in another notation");
        }
    }
    for (how, text) in cipher::decode_groups(&tokens) {
        if holds(&squeeze(&text), &letters) {
            return leak(how);
        }
    }
    if holds_reversed(view, &letters) {
        leak("the answer backwards")
    } else {
        None
    }
}

/// The answers' letters, where there are enough of them to be recognised in disguise.
fn answers(view: &View) -> Vec<&str> {
    view.right
        .iter()
        .map(|a| a.letters.as_str())
        .filter(|l| (2..=60).contains(&l.len()))
        .collect()
}

/// White-space separated tokens of the rewrite that the original lacks.
fn new_tokens(view: &View) -> Vec<&str> {
    let known: Vec<&str> = view.original.clean.split_whitespace().map(trim).collect();
    view.rewrite
        .clean
        .split_whitespace()
        .map(trim)
        .filter(|t| !t.is_empty() && !known.contains(t))
        .collect()
}

fn trim(token: &str) -> &str {
    // Morse and base64 end in marks that matter: a token of marks alone is left as it is.
    if token.chars().all(|c| matches!(c, '.' | '-')) {
        token
    } else {
        token.trim_matches(AROUND)
    }
}

fn squeeze(text: &str) -> String {
    text.chars()
        .filter(|c| c.is_alphanumeric())
        .flat_map(char::to_lowercase)
        .collect()
}

fn holds(text: &str, letters: &[&str]) -> bool {
    letters.iter().any(|l| {
        if l.len() < 4 {
            text == *l
        } else {
            text.contains(l)
        }
    })
}

/// One token under a letter substitution: a rotation, atbash, digits for letters.
fn hidden(token: &str, letters: &[&str]) -> Option<&'static str> {
    let word = squeeze(token);
    let plain = cipher::unleet(token);
    for answer in letters {
        if plain.as_deref() == Some(answer) && word != **answer {
            return Some("the answer with digits or signs for letters");
        }
        if answer.len() < 4 || !answer.bytes().all(|b| b.is_ascii_lowercase()) {
            continue;
        }
        if cipher::is_rotated(&word, answer) {
            return Some("the answer with its letters shifted");
        }
        if cipher::atbash(&word) == **answer {
            return Some("the answer with its alphabet mirrored");
        }
    }
    None
}

/// "0b101010", "0x2a" and "XLII" for 42.
fn is_number(token: &str, view: &View) -> bool {
    let Some(value) = cipher::other_notation(token) else {
        return false;
    };
    // "1F" asked, "0x1F" written.
    if view.knows(&token.to_lowercase())
        || token.len() > 2 && view.knows(&token[2..].to_lowercase())
    {
        return false;
    }
    view.right
        .iter()
        .filter_map(|a| a.number)
        .any(|n| n == value)
        && !view.knows_number(value)
}

/// Phrases: the whole rewrite's letters, rotated or reversed, at word borders.
fn holds_reversed(view: &View, letters: &[&str]) -> bool {
    let words = &view.rewrite.words;
    letters.iter().any(|answer| {
        let reversed: String = answer.chars().rev().collect();
        if answer.len() < 4 || reversed == **answer {
            return false;
        }
        (0..words.len()).any(|start| view.is_new(start) && joins_to(view, start, &reversed, answer))
    })
}

/// Whether words from `start` on join to the reversed answer, or to a rotation of it.
fn joins_to(view: &View, start: usize, reversed: &str, answer: &str) -> bool {
    let mut joined = String::new();
    for word in &view.rewrite.words[start..] {
        joined.push_str(&word.text);
        if joined.len() >= answer.len() {
            break;
        }
    }
    joined == reversed || cipher::is_rotated(&joined, answer)
}

#[cfg(test)]
mod tests {
    use super::super::{Rule, tests::open};

    #[test]
    fn each_disguise_is_seen_through() {
        for text in [
            "UGFyaXM=",
            "5061726973",
            "0x5061726973",
            "50 61 72 69 73",
            "\\x50\\x61\\x72\\x69\\x73",
            "%50%61%72%69%73",
            "Cnevf",
            "siraP",
            "P4r1s",
            ".--. .- .-. .. ...",
            "80 97 114 105 115",
            "01010000 01100001 01110010 01101001 01110011",
            "Kzirh",
            "16-1-18-9-19",
        ] {
            let leak = open(
                "Name the capital.",
                &format!("Name the capital. {text}"),
                "Paris",
            );
            assert_eq!(leak.map(|l| l.rule), Some(Rule::Encoding), "{text}");
        }
    }

    #[test]
    fn encoded_instructions_are_leaks_whatever_they_say() {
        let text = "Name it. dGhlIGFuc3dlciBpcyB5ZWFzdA==";
        assert!(open("Name it.", text, "barm").is_some());
        assert!(
            open(
                "Name it.",
                "Name it. Mississippi internationalisation",
                "barm"
            )
            .is_none()
        );
    }

    #[test]
    fn what_was_asked_about_is_no_leak() {
        let ask = "Decode the base64 text aGVsbG8=.";
        assert!(open(ask, "The text aGVsbG8= is in base64. Decode it.", "hello").is_none());
    }
}
