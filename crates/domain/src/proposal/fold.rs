//! Text as compared: what two wordings have in common when only looks differ.

use unicode_normalization::UnicodeNormalization;

/// Compatibility-composed (NFKC), lower-case words with single spaces. Punctuation is space, apostrophes and
/// invisible characters are nothing; letters, digits, marks and mathematical signs stay, so that `3 + 4` and
/// `3 / 4` differ, and so does a minus in front of a number.
pub fn fold(text: &str) -> String {
    // Most texts are ASCII: these forms change nothing there, and finding that out takes most of the time.
    let plain = text.is_ascii();
    let lower: String = match plain {
        true => text.to_ascii_lowercase(),
        false => text.nfkc().flat_map(char::to_lowercase).nfkc().collect(),
    };
    let mut out = String::with_capacity(lower.len());
    let mut chars = lower.chars().peekable();
    let mut gap = false;
    while let Some(c) = chars.next() {
        let negative = is_minus(c) && chars.peek().is_some_and(char::is_ascii_digit);
        let starts_word = gap || out.is_empty();
        match c {
            '\'' | '’' | '‘' | '`' => {}
            _ if is_invisible(c) => {}
            _ if (negative && starts_word) || !is_gap(c) => {
                if gap && !out.is_empty() {
                    out.push(' ');
                }
                gap = false;
                out.push(if negative { '-' } else { c });
            }
            _ => gap = true,
        }
    }
    if plain {
        return out;
    }
    // Marks that something between them kept apart are neighbours now.
    out.nfkc().collect()
}

fn is_minus(c: char) -> bool {
    matches!(c, '-' | '−')
}

/// Spaces, and punctuation that carries no number or relation.
fn is_gap(c: char) -> bool {
    c.is_whitespace()
        || (c.is_ascii_punctuation() && !"+/=<>^%$@&".contains(c))
        || matches!(c, '\u{2010}'..='\u{205e}' | '\u{3001}'..='\u{3003}' | '\u{3008}'..='\u{301f}')
        || "¡§«¶·»¿−".contains(c)
}

/// Characters that show nothing: controls, zero-width and direction marks, tags, variation selectors.
pub fn is_invisible(c: char) -> bool {
    (c.is_control() && !matches!(c, '\n' | '\t' | '\r'))
        || matches!(
            c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{180e}' | '\u{feff}'
        )
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}')
        || matches!(c, '\u{fe00}'..='\u{fe0f}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e01ef}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn looks_do_not_count_and_meaning_does() {
        assert_eq!(
            fold("  What's   the CAPITAL — of “France”?\n"),
            "whats the capital of france"
        );
        assert_eq!(fold("ﬁve　ｆｉｖｅ Ⅳ"), "five five iv");
        assert_eq!(fold("a\u{200b}b\u{202e}c"), "abc");
        assert_ne!(fold("3 + 4"), fold("3 / 4"));
        assert_ne!(fold("x = -2"), fold("x = 2"));
        assert_eq!(fold("x = −2"), fold("X = -2."));
        assert_eq!(fold("well-known"), fold("well known"));
        assert_eq!(fold("?!…"), "");
    }

    proptest! {
        #[test]
        fn folding_twice_changes_nothing(text in "\\PC{0,60}") {
            let once = fold(&text);
            prop_assert_eq!(fold(&once), once.clone());
            prop_assert!(!once.contains("  ") && once.trim() == once);
        }
    }
}
