//! Numbers as digits, as words (English and five other languages), and as small sums.

use super::text::{Text, Word, pattern};
use regex::Regex;
use std::{collections::HashMap, sync::LazyLock};

/// A number in a text: its value and the words it takes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Number {
    pub value: f64,
    pub first: usize,
    pub last: usize,
}

/// From zero upwards, one list a language; accents folded. Words that are also English ones are left out.
const SMALL: [&str; 6] = [
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen \
     seventeen eighteen nineteen twenty",
    "cero uno dos tres cuatro cinco seis siete ocho nueve diez once_ doce trece catorce quince dieciseis \
     diecisiete dieciocho diecinueve veinte",
    "zero_ un_ deux trois quatre cinq six_ sept huit neuf dix onze douze treize quatorze quinze seize_ dixsept \
     dixhuit dixneuf vingt",
    "null_ eins zwei drei vier funf sechs sieben acht neun zehn elf_ zwolf dreizehn vierzehn funfzehn sechzehn \
     siebzehn achtzehn neunzehn zwanzig",
    "zero_ uno due_ tre quattro cinque sei sette otto nove dieci undici dodici tredici quattordici quindici \
     sedici diciassette diciotto diciannove venti",
    "zero_ um_ dois tres quatro cinco seis sete oito nove_ dez onze doze treze catorze quinze dezesseis \
     dezessete dezoito dezenove vinte",
];

/// Thirty, forty … ninety.
const TENS: [&str; 6] = [
    "thirty forty fifty sixty seventy eighty ninety",
    "treinta cuarenta cincuenta sesenta setenta ochenta noventa",
    "trente quarante cinquante soixante septante huitante nonante",
    "dreissig vierzig funfzig sechzig siebzig achtzig neunzig",
    "trenta quaranta cinquanta sessanta settanta ottanta novanta",
    "trinta quarenta cinquenta sessenta setenta oitenta noventa",
];

static WORDS: LazyLock<HashMap<&str, f64>> = LazyLock::new(|| {
    let mut map = HashMap::new();
    for list in SMALL {
        map.extend(
            list.split_whitespace()
                .zip(0..)
                .map(|(w, n)| (w, f64::from(n))),
        );
    }
    for list in TENS {
        map.extend(
            list.split_whitespace()
                .zip(3..)
                .map(|(w, n)| (w, f64::from(10 * n))),
        );
    }
    map
});

fn scale(word: &str) -> Option<f64> {
    match word {
        "hundred" => Some(100.0),
        "thousand" => Some(1e3),
        "million" => Some(1e6),
        _ => None,
    }
}

/// The value of one word: digits ("1,234.5"), a number word, or a German compound.
fn value(word: &str) -> Option<f64> {
    if word.starts_with(|c: char| c.is_ascii_digit()) {
        return word.replace(',', "").parse().ok();
    }
    WORDS.get(word).copied().or_else(|| {
        let (unit, tens) = word.split_once("und")?;
        let unit = if unit == "ein" {
            1.0
        } else {
            *WORDS.get(unit)?
        };
        Some(unit + WORDS.get(tens)?)
    })
}

/// All numbers among the words, compound number words joined ("forty two", "two hundred and five").
pub(crate) fn scan(words: &[Word]) -> Vec<Number> {
    let mut numbers = Vec::new();
    let mut at = 0;
    while at < words.len() {
        let Some(start) = value(&words[at].text) else {
            at += 1;
            continue;
        };
        let number = compound(words, at, start);
        at = number.last + 1;
        numbers.push(number);
    }
    numbers
}

fn compound(words: &[Word], first: usize, start: f64) -> Number {
    let (mut total, mut part, mut last) = (0.0, start, first);
    let digits = words[first].text.starts_with(|c: char| c.is_ascii_digit());
    while let Some(word) = words.get(last + 1) {
        let and = usize::from(word.text == "and" && part >= 100.0);
        let Some(word) = words.get(last + 1 + and) else {
            break;
        };
        let tens = part % 100.0;
        if let Some(scale) = scale(&word.text).filter(|_| and == 0) {
            part *= scale;
            if scale > 100.0 {
                total += part;
                part = 0.0;
            }
        } else if let Some(small) = value(&word.text).filter(|v| *v > 0.0 && !digits && *v < 100.0)
        {
            let fits = if tens == 0.0 {
                part >= 100.0 || total > 0.0
            } else {
                tens % 10.0 == 0.0 && tens >= 20.0
            };
            if !fits || (tens > 0.0 && small >= 10.0) {
                break;
            }
            part += small;
        } else {
            break;
        }
        last += 1 + and;
    }
    Number {
        value: total + part,
        first,
        last,
    }
}

/// Small sums written out ("6 x 7", "40 plus 2"): their values and operands.
pub(super) fn sums(text: &Text) -> Vec<(f64, [f64; 2])> {
    static SUM: LazyLock<Regex> = LazyLock::new(|| {
        pattern(
            r"(?i-u)(\d+(?:\.\d+)?) ?(x|\*|\+|-|/|times|plus|minus|divided by|multiplied by) ?(\d+(?:\.\d+)?)",
        )
    });
    let found = SUM.captures_iter(&text.clean).filter_map(|c| {
        let (a, b): (f64, f64) = (c[1].parse().ok()?, c[3].parse().ok()?);
        let value = match &c[2].to_lowercase()[..] {
            "x" | "*" | "times" | "multiplied by" => a * b,
            "+" | "plus" => a + b,
            "-" | "minus" => a - b,
            _ if b != 0.0 => a / b,
            _ => return None,
        };
        Some((value, [a, b]))
    });
    found.collect()
}

/// Whether a number is used for the form of the reply or of the text: "2 sentences", "step 2", "2." in a list.
pub(super) fn is_format(text: &Text, number: &Number) -> bool {
    const NOUNS: &str = " sentence sentences word words paragraph paragraphs bullet bullets point points step \
                         steps line lines decimal decimals digit digits place places letter letters syllable \
                         syllables significant item items choice choices option options page pages page \
                         example examples reason reasons part parts character characters numbered short ";
    const LABELS: &str =
        " step part premise task section question rule case stage phase base table figure ";
    let listed = |list: &str, word: Option<&Word>| {
        word.is_some_and(|w| list.contains(&format!(" {} ", w.text)))
    };
    let previous = number.first.checked_sub(1).map(|i| &text.words[i]);
    let next = text.words.get(number.last + 1);
    let marker = matches!(text.after(number.last), Some('.' | ')'))
        && text
            .before(number.first)
            .is_none_or(|c| matches!(c, '.' | '?' | '!' | ':'))
        && next.is_some();
    listed(NOUNS, next) || listed(LABELS, previous) || marker
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(text: &str) -> Vec<f64> {
        scan(&Text::new(text).words)
            .into_iter()
            .map(|n| n.value)
            .collect()
    }

    #[test]
    fn words_and_digits() {
        assert_eq!(values("forty-two or 42 or 1,234.5"), [42.0, 42.0, 1234.5]);
        assert_eq!(
            values("two hundred and five, three thousand twelve"),
            [205.0, 3012.0]
        );
        assert_eq!(values("one two three"), [1.0, 2.0, 3.0]);
        assert_eq!(values("quarante-deux, zweiundvierzig"), [42.0, 42.0]);
    }

    #[test]
    fn sums_are_worked_out() {
        assert_eq!(sums(&Text::new("6 × 7"))[0].0, 42.0);
        assert_eq!(sums(&Text::new("40 plus 2"))[0].0, 42.0);
    }

    #[test]
    fn format_uses() {
        let is = |raw: &str| {
            let text = Text::new(raw);
            let number = scan(&text.words)[0];
            is_format(&text, &number)
        };
        assert!(is("Reply in 2 sentences."));
        assert!(is("Count. 2. Name them."));
        assert!(!is("The remainder is 2."));
    }
}
