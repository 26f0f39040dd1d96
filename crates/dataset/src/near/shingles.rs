//! Texts as sets of word shingles.
//!
//! Long texts are compared by runs of five words, short ones by runs of three: one word more at the
//! end of a sentence of twelve leaves 10 of 11 runs of three but tells little by runs of five.
//! Texts of 24 to 40 words are signed both ways. Two texts of similarity 0.8 differ in length by a
//! quarter at most, so that any two near texts are of one kind: there is no length at which
//! near-duplicates are missed for falling on two sides of a line.

use unicode_normalization::UnicodeNormalization as _;

/// A way to cut texts of some lengths into shingles.
pub(super) struct Kind {
    run: usize,
    from: usize,
    to: usize,
}

/// Short texts, long texts.
pub(super) const KINDS: [Kind; 2] = [
    Kind {
        run: 3,
        from: 0,
        to: 40,
    },
    Kind {
        run: 5,
        from: 24,
        to: usize::MAX,
    },
];

impl Kind {
    /// Whether texts of so many words are cut this way.
    pub(super) fn fits(&self, words: usize) -> bool {
        (self.from..=self.to).contains(&words)
    }

    /// A hash of each run of words; a text shorter than a run is one run.
    pub(super) fn shingles(&self, words: &[u64]) -> impl Iterator<Item = u64> {
        let run = self.run.min(words.len()).max(1);
        let whole = words.is_empty().then_some(0);
        words
            .windows(run)
            .map(|run| run.iter().fold(0, |h, word| mix(h ^ *word)))
            .chain(whole)
    }
}

/// The words of a text, normalised (NFKC, lower case, no punctuation) and hashed. Operators are
/// words of their own, so that `3 + 4` and `3 - 4` differ; so are ideographs, which no spaces
/// divide. A text of nothing but punctuation is one word.
pub(super) fn words(text: &str) -> Vec<u64> {
    let mut words = Vec::new();
    let mut word = String::new();
    for c in text.nfkc().flat_map(char::to_lowercase) {
        let alone = is_operator(c) || is_ideograph(c);
        if (alone || !c.is_alphanumeric()) && !word.is_empty() {
            words.push(hash(&word));
            word.clear();
        }
        if alone {
            words.push(hash(c.encode_utf8(&mut [0; 4])));
        } else if c.is_alphanumeric() {
            word.push(c);
        }
    }
    if !word.is_empty() {
        words.push(hash(&word));
    }
    if words.is_empty() {
        words.push(hash(text.trim()));
    }
    words
}

fn is_operator(c: char) -> bool {
    matches!(
        c,
        '+' | '-' | '−' | '*' | '/' | '=' | '<' | '>' | '^' | '%' | '|' | '&' | '~' | '×' | '÷'
    )
}

/// Han, kana and the syllables of Hangul.
fn is_ideograph(c: char) -> bool {
    matches!(c, '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{9fff}' | '\u{ac00}'..='\u{d7a3}'
        | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3ffff}')
}

/// FNV-1a, finished by a mixer: stable for ever, unlike the standard library's hasher.
fn hash(word: &str) -> u64 {
    let step = |h: u64, byte: &u8| (h ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
    mix(word.as_bytes().iter().fold(0xcbf2_9ce4_8422_2325, step))
}

/// The finaliser of SplitMix64 (Steele, Lea and Flood 2014).
pub(super) const fn mix(h: u64) -> u64 {
    let h = h.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let h = (h ^ (h >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let h = (h ^ (h >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    h ^ (h >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_punctuation_and_forms_do_not_matter_but_operators_do() {
        assert_eq!(words("Ｈello, World!"), words("hello   world"));
        assert_ne!(words("3 + 4"), words("3 - 4"));
        assert_eq!(words("日本語").len(), 3);
        assert_eq!(words("?!").len(), 1);
        assert_ne!(words("?!"), words("!?"));
    }

    #[test]
    fn every_length_has_a_kind_and_neighbours_share_one() {
        for words in 0..200_usize {
            let longer = words + words / 4;
            assert!(
                KINDS.iter().any(|k| k.fits(words) && k.fits(longer)),
                "{words}"
            );
        }
    }

    #[test]
    fn a_short_text_is_one_run() {
        assert_eq!(KINDS[0].shingles(&words("two words")).count(), 1);
        assert_eq!(KINDS[0].shingles(&words("now three words")).count(), 1);
        assert_eq!(KINDS[0].shingles(&words("there are four words")).count(), 2);
    }
}
