//! Folding and words.
//!
//! Folding undoes what hides a word from a comparison: compatibility forms and accents (NFKD without marks),
//! characters that are not seen, and letters of other alphabets that look like Latin ones.

use regex::Regex;
use unicode_normalization::{UnicodeNormalization as _, char::is_combining_mark};

/// A word and where it stands.
#[derive(Clone, Debug)]
pub(crate) struct Word {
    /// Lower case, folded.
    pub text: String,
    /// Byte range in [`Text::clean`].
    pub start: usize,
    pub end: usize,
    /// Number of the sentence, from 0.
    pub sentence: usize,
}

/// A folded text and its words.
#[derive(Clone, Debug)]
pub(crate) struct Text {
    /// Folded, case kept.
    pub clean: String,
    pub words: Vec<Word>,
}

impl Text {
    pub fn new(raw: &str) -> Self {
        let clean = fold(raw);
        let words = words(&clean);
        Self { clean, words }
    }

    /// The word as written (case kept).
    pub fn written(&self, index: usize) -> &str {
        let word = &self.words[index];
        &self.clean[word.start..word.end]
    }

    /// The first character after a word, if any.
    pub fn after(&self, index: usize) -> Option<char> {
        self.clean[self.words[index].end..].chars().next()
    }

    /// The last character before a word that is not white space, if any.
    pub fn before(&self, index: usize) -> Option<char> {
        self.clean[..self.words[index].start]
            .trim_end()
            .chars()
            .next_back()
    }
}

/// A pattern of ours, compiled once in a `LazyLock`.
pub(super) fn pattern(pattern: &str) -> Regex {
    Regex::new(pattern).expect("a pattern in this module is a valid regular expression")
}

/// NFKD without marks and invisible characters, look-alikes mapped to Latin; case kept.
pub(super) fn fold(raw: &str) -> String {
    let mut out = String::with_capacity(raw.len());
    for c in raw.chars() {
        match c {
            '\0'..='\x7f' => out.push(c),
            _ if is_invisible(c) => {}
            _ => out.extend(
                std::iter::once(c)
                    .nfkd()
                    .filter(|c| !is_combining_mark(*c))
                    .map(look),
            ),
        }
    }
    out
}

fn is_invisible(c: char) -> bool {
    matches!(
        c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{180e}' | '\u{feff}'
    ) || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2064}')
        || matches!(c, '\u{fe00}'..='\u{fe0f}' | '\u{e0000}'..='\u{e007f}')
}

/// Letters that look like Latin ones, and typographic marks.
fn look(c: char) -> char {
    match c {
        'а' | 'α' | 'ɑ' => 'a',
        'А' | 'Α' => 'A',
        'В' | 'Β' => 'B',
        'с' | 'ϲ' => 'c',
        'С' => 'C',
        'ԁ' => 'd',
        'е' => 'e',
        'Е' | 'Ε' => 'E',
        'ɡ' => 'g',
        'һ' => 'h',
        'Н' | 'Η' => 'H',
        'і' | 'ı' | 'ι' => 'i',
        'І' | 'Ι' => 'I',
        'ј' => 'j',
        'к' | 'κ' => 'k',
        'К' | 'Κ' => 'K',
        'М' | 'Μ' => 'M',
        'Ν' => 'N',
        'о' | 'ο' => 'o',
        'О' | 'Ο' => 'O',
        'р' | 'ρ' => 'p',
        'Р' | 'Ρ' => 'P',
        'ѕ' => 's',
        'Ѕ' => 'S',
        'Т' | 'Τ' => 'T',
        'ν' | 'ѵ' => 'v',
        'х' | 'χ' => 'x',
        'Х' | 'Χ' => 'X',
        'у' => 'y',
        'У' | 'Υ' => 'Y',
        'Ζ' => 'Z',
        'ø' => 'o',
        'Ø' => 'O',
        'ł' => 'l',
        '‘' | '’' | 'ʼ' => '\'',
        '“' | '”' | '«' | '»' => '"',
        '‐' | '‑' | '–' | '—' | '−' => '-',
        '×' => 'x',
        _ => c,
    }
}

fn words(clean: &str) -> Vec<Word> {
    let mut words: Vec<Word> = Vec::new();
    let mut sentence = 0;
    let mut chars = clean.char_indices().peekable();
    while let Some((start, c)) = chars.next() {
        if !c.is_alphanumeric() {
            let next = chars.peek().map(|(_, c)| *c);
            let ends = matches!(c, '.' | '!' | '?') && next.is_none_or(char::is_whitespace);
            sentence += usize::from(ends || c == '\n');
            continue;
        }
        let mut end = start + c.len_utf8();
        while let Some(&(at, c)) = chars.peek() {
            let joins = c.is_alphanumeric() || is_digit_mark(clean, at, c);
            if !joins {
                break;
            }
            end = at + c.len_utf8();
            chars.next();
        }
        // The "s" of "Moon's" is no word.
        let possessive = &clean[start..end] == "s" && clean[..start].ends_with('\'');
        if !possessive {
            let text = clean[start..end].to_lowercase();
            words.push(Word {
                text,
                start,
                end,
                sentence,
            });
        }
    }
    words
}

/// The point of "7.5" and the comma of "300,000".
fn is_digit_mark(clean: &str, at: usize, c: char) -> bool {
    let digit = |b: Option<&u8>| b.is_some_and(u8::is_ascii_digit);
    let bytes = clean.as_bytes();
    matches!(c, '.' | ',') && at > 0 && digit(bytes.get(at - 1)) && digit(bytes.get(at + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(raw: &str) -> Vec<String> {
        Text::new(raw).words.into_iter().map(|w| w.text).collect()
    }

    #[test]
    fn folding_undoes_hiding() {
        // Cyrillic A and e, a zero-width space, full-width letters, an accent.
        assert_eq!(fold("Аth\u{435}ns"), "Athens");
        assert_eq!(fold("Pa\u{200b}ris"), "Paris");
        assert_eq!(fold("Ｐａｒｉｓ"), "Paris");
        assert_eq!(fold("fotosíntesis"), "fotosintesis");
    }

    #[test]
    fn words_keep_numbers_whole() {
        assert_eq!(
            texts("The Moon's 300,000 km/s, or 7.5."),
            ["the", "moon", "300,000", "km", "s", "or", "7.5"]
        );
    }
}
