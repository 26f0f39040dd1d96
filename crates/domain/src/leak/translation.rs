//! Words of another language or script were added.
//!
//! Text rules have no dictionary: what the foreign word means is left to the probability probe. They see that
//! there *is* one: a script or a run of function words that nothing in the case had, a language named as the one in
//! which the answer is called so, or a word that is nearly the answer, as words of Greek and Latin descent are.

use super::{Leak, Rule, lexicon, text::pattern, view::View};
use regex::Regex;
use std::{collections::HashSet, sync::LazyLock};

/// Function words of Spanish, French, German, Italian, Portuguese and Dutch that are no English words.
static FUNCTION: LazyLock<HashSet<&str>> = LazyLock::new(|| {
    "el los las una unos unas del que es esta este por como pero muy respuesta correcta palabra opcion le les du des \
     une est ce cette qui dans avec pour sur mais reponse bonne comme sont aux ils elle c'est der das ein eine einer \
     einen ist sind und oder nicht auf mit dem im zum zur von fur richtige antwort lautet heisst wird il lo gli \
     della dello delle degli di che e risposta giusta parola sono nel nella per o os uma do da dos das nao resposta \
     certa sao het een niet wordt antwoord juiste zijn voor"
        .split_whitespace()
        .filter(|w| w.len() > 1 && !matches!(*w, "do" | "lo" | "per" | "os" | "des" | "das" | "von" | "di" | "da" | "del"))
        .collect()
});

static NAMED: LazyLock<Regex> = LazyLock::new(|| {
    const TONGUE: &str = "spanish|french|german|italian|portuguese|dutch|latin|greek|russian|polish|swedish|danish|norwegian|\
                          finnish|czech|turkish|arabic|hebrew|hindi|chinese|mandarin|japanese|korean|romanian|hungarian|ukrainian|\
                          catalan|welsh|irish|esperanto|swahili";
    let patterns = [
        format!(
            r"in (?:\w+ )?(?:{TONGUE})(?: it is| it's| this is| one says| they say| we say| the \w+ is| would be|\b[ -~]{{0,20}}\b(?:called|named|written|known)|:|,? ?\()"
        ),
        format!(
            r"(?:{TONGUE})(?: \w+)? (?:word|name|term|one|equivalent|translation)(?: for \w+)? (?:is|would be|was|\w+$|\w+\.|[!-/:-@])"
        ),
        format!(
            r"(?:the|a) (?:{TONGUE})s? (?:\w+ )?(?:say|says|call|calls|people call|speakers|would say)"
        ),
        format!(r"writing in (?:{TONGUE})"),
        format!(r"(?:compare|cf\.?) the (?:{TONGUE})"),
    ];
    pattern(&format!(r"(?i-u)\b(?:{})", patterns.join("|")))
});

pub(super) fn rule(view: &View) -> Option<Leak> {
    let leak = |what: &str| Some(Leak::new(Rule::Translation, what));
    if has_new_script(view) {
        return leak("words in a script that the case lacks were added");
    }
    let foreign = view
        .new_words()
        .filter(|&i| FUNCTION.contains(view.rewrite.words[i].text.as_str()))
        .count();
    if foreign >= 2 {
        return leak("words of another language were added");
    }
    if NAMED.is_match(&view.rewrite.clean) && !NAMED.is_match(&view.original.clean) {
        return leak("the added words say what something is called in another language");
    }
    if has_dictionary_word(view) {
        return leak("the answer in another language was added");
    }
    if has_cognate(view) {
        return leak("a word that is nearly the answer was added");
    }
    None
}

/// Colours, months and days: English, Spanish, French, German, Italian, Portuguese. Short closed lists are all the
/// dictionary there is; numbers are in [`super::number`].
const DICTIONARY: &str = "red rojo rouge rot rosso vermelho|green verde vert grun verde verde|blue azul bleu blau blu azul|\
    yellow amarillo jaune gelb giallo amarelo|black negro noir schwarz nero preto|white blanco blanc weiss bianco branco|\
    january enero janvier januar gennaio janeiro|february febrero fevrier februar febbraio fevereiro|\
    march marzo mars marz marzo marco|april abril avril april aprile abril|may mayo mai mai maggio maio|\
    june junio juin juni giugno junho|july julio juillet juli luglio julho|august agosto aout august agosto agosto|\
    september septiembre septembre september settembre setembro|october octubre octobre oktober ottobre outubro|\
    november noviembre novembre november novembre novembro|december diciembre decembre dezember dicembre dezembro|\
    monday lunes lundi montag lunedi segunda|tuesday martes mardi dienstag martedi terca|\
    wednesday miercoles mercredi mittwoch mercoledi quarta|thursday jueves jeudi donnerstag giovedi quinta|\
    friday viernes vendredi freitag venerdi sexta|saturday sabado samedi samstag sabato sabado|\
    sunday domingo dimanche sonntag domenica domingo";

fn has_dictionary_word(view: &View) -> bool {
    let rows = || {
        DICTIONARY
            .split('|')
            .map(|row| row.trim().split(' ').collect::<Vec<_>>())
    };
    let answers = view
        .right
        .iter()
        .filter(|a| a.words.len() == 1)
        .map(|a| a.words[0].as_str());
    answers.into_iter().any(|answer| {
        let row = rows().find(|r| r[0] == answer);
        row.is_some_and(|r| {
            view.new_words()
                .any(|i| r[1..].contains(&view.rewrite.words[i].text.as_str()))
        })
    })
}

/// Letters that are neither Latin nor single symbols, in a script that question, context and choices lack.
fn has_new_script(view: &View) -> bool {
    let foreign = |word: &str| {
        let letters: Vec<char> = word.chars().filter(|c| c.is_alphabetic()).collect();
        let other = letters.iter().filter(|c| !is_latin(**c)).count();
        other >= 2 && other * 2 > letters.len()
    };
    let answers = || view.right.iter().chain(&view.wrong).flat_map(|a| &a.words);
    let had = view
        .original
        .words
        .iter()
        .map(|w| &w.text)
        .chain(answers())
        .chain(&view.context)
        .any(|w| foreign(w));
    !had && view.rewrite.words.iter().any(|w| foreign(&w.text))
}

fn is_latin(c: char) -> bool {
    c.is_ascii() || matches!(c, '\u{80}'..='\u{24f}' | '\u{1e00}'..='\u{1eff}')
}

/// A new word that sounds nearly like a word of the answer: "fotosintesis".
fn has_cognate(view: &View) -> bool {
    let near = |word: &str, wanted: &str| {
        let (a, b) = (sound(word), sound(wanted));
        let long = a.len().max(b.len());
        let limit = if long >= 8 { 2 } else { 1 };
        word != wanted
            && a.first() == b.first()
            && long.abs_diff(a.len().min(b.len())) <= 2
            && lexicon::distance(&a, &b) <= limit
    };
    let telling = |w: &&String| {
        w.len() >= 6 && lexicon::is_content(w) && !lexicon::is_common(w) && !view.knows(w)
    };
    let answers = view
        .right
        .iter()
        .filter(|a| a.words.len() <= 3)
        .flat_map(|a| &a.words)
        .filter(telling);
    answers.into_iter().any(|wanted| {
        let choices = view.wrong.iter().flat_map(|w| &w.words);
        let unlike = |w: &str| !choices.clone().any(|c| c == w || lexicon::akin(c, w));
        view.new_words()
            .map(|i| view.rewrite.words[i].text.as_str())
            .any(|w| w.len() >= 5 && near(w, wanted) && unlike(w))
    })
}

/// A rough common spelling: f for ph, t for th, k for c and q, i for y, no doubled letters.
fn sound(word: &str) -> Vec<u8> {
    let spelled = word
        .replace("ph", "f")
        .replace("th", "t")
        .replace("ch", "k")
        .replace("sch", "s");
    let mut out: Vec<u8> = Vec::with_capacity(spelled.len());
    for b in spelled.bytes() {
        let b = match b {
            b'c' | b'q' => b'k',
            b'y' | b'j' => b'i',
            b'z' => b's',
            b'w' => b'v',
            _ => b,
        };
        if out.last() != Some(&b) {
            out.push(b);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::{Rule, tests::open};

    #[test]
    fn what_text_rules_can_see_of_translation() {
        let ask = "What do plants do with light?";
        for text in [
            "фотосинтез",
            "La respuesta es obvia.",
            "Compare fotosíntesis.",
            "In German it is called so.",
        ] {
            let leak = open(ask, &format!("{ask} {text}"), "photosynthesis");
            assert_eq!(leak.map(|l| l.rule), Some(Rule::Translation), "{text}");
        }
        for text in [
            "Answer in French.",
            "Use Greek letters such as α.",
            "Note the café's Latin motto.",
        ] {
            assert!(
                open(ask, &format!("{ask} {text}"), "photosynthesis").is_none(),
                "{text}"
            );
        }
    }
}
