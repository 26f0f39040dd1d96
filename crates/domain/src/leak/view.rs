//! A case taken apart once, for all rules.

use super::{
    Case, lexicon,
    number::{self, Number},
    text::Text,
};
use std::collections::HashSet;

/// A possible answer: the right one, or a wrong choice.
pub(super) struct Answer {
    pub text: Text,
    /// Folded words without a leading article.
    pub words: Vec<String>,
    /// The one number it is, units aside.
    pub number: Option<f64>,
    /// Letters and digits only, lower case.
    pub letters: String,
    /// Words that no other choice has and that are rare enough to name it alone (a surname).
    pub telling: Vec<String>,
}

impl Answer {
    fn new(raw: &str) -> Self {
        let text = Text::new(raw);
        let all: Vec<String> = text.words.iter().map(|w| w.text.clone()).collect();
        let article = all.len() > 1 && matches!(all[0].as_str(), "a" | "an" | "the");
        let words = all[usize::from(article)..].to_vec();
        let letters = words.concat();
        let number = match &number::scan(&text.words)[..] {
            [n] if n.first == 0 && text.words.len() - n.last <= 3 => Some(n.value),
            _ => None,
        };
        Self {
            text,
            words,
            number,
            letters,
            telling: Vec::new(),
        }
    }
}

/// Everything the rules look at.
pub(super) struct View {
    pub original: Text,
    pub rewrite: Text,
    known: HashSet<String>,
    /// Of each word of the rewrite: whether the original lacks it.
    new: Vec<bool>,
    known_stems: HashSet<String>,
    /// Words of the context.
    pub context: HashSet<String>,
    known_numbers: Vec<f64>,
    /// Numbers in the rewrite that the original lacks and that are no format.
    pub numbers: Vec<Number>,
    /// The right choice and the reference.
    pub right: Vec<Answer>,
    pub wrong: Vec<Answer>,
}

impl View {
    pub fn new(case: &Case) -> Self {
        let (original, rewrite) = (Text::new(case.original), Text::new(case.rewrite));
        let known: HashSet<String> = original.words.iter().map(|w| w.text.clone()).collect();
        let new = rewrite
            .words
            .iter()
            .map(|w| !known.contains(&w.text))
            .collect();
        let known_stems = original
            .words
            .iter()
            .map(|w| lexicon::stem(&w.text).to_owned())
            .collect();
        let known_numbers: Vec<f64> = number::scan(&original.words)
            .iter()
            .map(|n| n.value)
            .collect();
        let mut numbers = number::scan(&rewrite.words);
        numbers.retain(|n| !known_numbers.contains(&n.value) && !number::is_format(&rewrite, n));
        let context = case
            .context
            .map(|c| Text::new(c).words.into_iter().map(|w| w.text).collect());
        let mut view = Self {
            original,
            rewrite,
            known,
            new,
            known_stems,
            context: context.unwrap_or_default(),
            known_numbers,
            numbers,
            right: Vec::new(),
            wrong: Vec::new(),
        };
        // "One" stands for anything ("the best one"), unless something says that it is meant.
        let meant = |n: &Number| {
            view.rewrite.words[n.first].text != "one" || n.last > n.first || view.is_cued(n.first)
        };
        let kept: Vec<Number> = view.numbers.iter().filter(|n| meant(n)).copied().collect();
        view.numbers = kept;
        view.take_answers(case);
        view
    }

    fn take_answers(&mut self, case: &Case) {
        let mut choices: Vec<Answer> = case.choices.iter().map(|c| Answer::new(c)).collect();
        for i in 0..choices.len() {
            let alone = |w: &&String| {
                let shared = choices
                    .iter()
                    .enumerate()
                    .any(|(j, c)| j != i && c.words.contains(w));
                !shared && w.len() >= 4 && lexicon::is_content(w) && !lexicon::is_common(w)
            };
            choices[i].telling = choices[i].words.iter().filter(alone).cloned().collect();
        }
        for (i, choice) in choices.into_iter().enumerate() {
            if case.right == Some(i) {
                self.right.push(choice);
            } else if case.right.is_some() {
                self.wrong.push(choice);
            }
        }
        self.right.extend(
            case.reference
                .map(Answer::new)
                .filter(|a| !a.text.clean.trim().is_empty()),
        );
    }

    /// Whether the rewrite's word at `index` is not among the original's words.
    pub fn is_new(&self, index: usize) -> bool {
        self.new[index]
    }

    /// Whether neither the original nor the context has a form of the rewrite's word at `index`.
    pub fn is_new_stem(&self, index: usize) -> bool {
        let word = self.rewrite.words[index].text.as_str();
        self.is_new(index)
            && !self.known_stems.contains(lexicon::stem(word))
            && !self.context.contains(word)
    }

    /// Whether the original has a form of this word.
    pub fn knows_stem(&self, word: &str) -> bool {
        self.known_stems.contains(lexicon::stem(word))
    }

    /// Whether the original has this word.
    pub fn knows(&self, word: &str) -> bool {
        self.known.contains(word)
    }

    /// Whether the original has this number.
    pub fn knows_number(&self, value: f64) -> bool {
        self.known_numbers.contains(&value)
    }

    /// Indices of the new words.
    pub fn new_words(&self) -> impl Iterator<Item = usize> {
        (0..self.rewrite.words.len()).filter(|i| self.is_new(*i))
    }

    /// Where these words stand in a row in the rewrite, at least one of them new.
    pub fn runs(&self, words: &[String]) -> impl Iterator<Item = usize> {
        let last = self
            .rewrite
            .words
            .len()
            .checked_sub(words.len())
            .filter(|_| !words.is_empty());
        (0..last.map_or(0, |l| l + 1)).filter(move |&i| {
            words
                .iter()
                .zip(&self.rewrite.words[i..])
                .all(|(a, b)| *a == b.text)
                && (i..i + words.len()).any(|j| self.is_new(j))
        })
    }

    /// Whether the answer's words, new or not, stand in this sentence of the rewrite.
    pub fn is_in_sentence(&self, answer: &Answer, sentence: usize) -> bool {
        let same: Vec<&str> = self
            .rewrite
            .words
            .iter()
            .filter(|w| w.sentence == sentence)
            .map(|w| w.text.as_str())
            .collect();
        let n = answer.words.len();
        n > 0
            && same
                .windows(n)
                .any(|run| run.iter().zip(&answer.words).all(|(a, b)| a == b))
    }

    /// The first place where the rewrite names an answer that the original does not: its words in a row, its
    /// number, or a word that only it has.
    pub fn mention(&self, answer: &Answer) -> Option<usize> {
        if let Some(number) = answer.number {
            return self
                .numbers
                .iter()
                .find(|n| n.value == number)
                .map(|n| n.first);
        }
        let whole = self
            .runs(&answer.words)
            .find(|&i| self.names_here(answer, i));
        whole.or_else(|| self.telling_word(answer))
    }

    fn telling_word(&self, answer: &Answer) -> Option<usize> {
        if answer.words.len() > 3 {
            return None;
        }
        self.new_words()
            .find(|&i| answer.telling.contains(&self.rewrite.words[i].text))
    }

    /// Whether the words at `index` are used as a name of the answer, not as plain words that happen to be equal.
    fn names_here(&self, answer: &Answer, index: usize) -> bool {
        let written = &self.rewrite.written(index);
        match answer.words[0].as_str() {
            "no" if answer.words.len() == 1 => {
                let after = self.rewrite.after(index).is_none_or(|c| !c.is_whitespace());
                after || self.word(index, -1) == "or" || self.word(index, 1) == "or"
            }
            "yes" => {
                let conditional = matches!(self.word(index, -1), "if" | "whether")
                    || self.word(index, 1) == "only";
                !conditional
            }
            // A symbol of one or two letters is written as it is.
            word if word.len() <= 2 && answer.words.len() == 1 => {
                answer
                    .text
                    .words
                    .last()
                    .is_some_and(|w| &answer.text.clean[w.start..w.end] == *written)
                    && (word.len() > 1 || !written.chars().all(|c| c.is_ascii_digit()))
                    && !(word.len() == 1 && lexicon::is_stop(word))
            }
            "first" | "second" | "third" | "last" if answer.words.len() == 1 => self.is_cued(index),
            word if lexicon::is_common(word)
                && answer.words.len() == 1
                && self.wrong.is_empty() =>
            {
                self.is_cued(index)
            }
            _ => true,
        }
    }

    /// The word `by` places from `index`, or "".
    pub fn word(&self, index: usize, by: isize) -> &str {
        index
            .checked_add_signed(by)
            .and_then(|i| self.rewrite.words.get(i))
            .map_or("", |w| &w.text)
    }

    /// Whether the words just before say that an answer follows ("it is …", "called …", ": …").
    pub fn is_cued(&self, index: usize) -> bool {
        const CUES: [&str; 24] = [
            "is", "are", "be", "equals", "equal", "called", "means", "answer", "hint", "namely",
            "say", "says", "remember", "recall", "like", "ie", "word", "value", "gives", "use",
            "using", "has", "output", "returns",
        ];
        let sentence = self.rewrite.words[index].sentence;
        let near = (1..=3).filter_map(|by| index.checked_sub(by));
        let cued = near
            .filter(|&i| self.rewrite.words[i].sentence == sentence)
            .any(|i| CUES.contains(&self.rewrite.words[i].text.as_str()));
        cued || matches!(
            self.rewrite.before(index),
            Some(':' | '=' | '>' | '"' | '(' | '`')
        )
    }

    /// Whether the added words name most of the choices: then naming the right one says nothing.
    pub fn is_listing(&self) -> bool {
        let wanted = self.wrong.len().min(2);
        wanted > 0 && self.wrong_mentions().len() >= wanted
    }

    /// Wrong choices that the rewrite names and the original does not, with the place.
    pub fn wrong_mentions(&self) -> Vec<usize> {
        self.wrong.iter().filter_map(|w| self.mention(w)).collect()
    }
}
