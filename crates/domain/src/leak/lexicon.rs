//! Word lists and stems.

use std::{collections::HashSet, sync::LazyLock};

fn set(list: &'static str) -> HashSet<&'static str> {
    list.split_whitespace().collect()
}

static STOP: LazyLock<HashSet<&str>> = LazyLock::new(|| {
    set(
        "a an the of in on at to for from by with and or but nor if then than that this these those it its \
         is are was were be been being am do does did done has have had having can could may might must shall \
         should will would not no as so such which who whom whose what when where why how there here i you he \
         she we they me him her us them my your his our their one ones s t d ll re ve m into onto over under \
         about between before after during without within through while because each every any some all both \
         more most less least very too also just only own same other another up down out off again once",
    )
});

/// Words that a task is worded with: that a rewrite uses them says nothing.
static COMMON: LazyLock<HashSet<&str>> = LazyLock::new(|| {
    set(
        "yes no true false none other answer question reply respond response choose choice option pick select \
         name state list give find tell explain describe consider think step steps word words letter letters \
         number numbers line lines sentence sentences text write use using show work case note first second \
         third last next part parts kind type term terms form example examples reason reasons result value \
         values right wrong correct best good better same different time times day days year years way ways \
         thing things place point points people person man woman world life hand high low long short large \
         small big little new old great early late hard easy fast slow simple clear main common usual water \
         air light fire food house home work play keep make made take come go went see know need want help \
         look say call called mean means meant order end start begin level group set rest change rise rises \
         rising fall falls stay up down left open close full free key act mind body head object error print \
         null color colour red green blue yellow white black one two three four five six seven eight nine ten \
         trial total unit units data code input output function list string item items goods services ",
    )
});

/// Words with which a question is put: never evidence, in whatever form.
static ASKING: LazyLock<HashSet<&str>> = LazyLock::new(|| {
    set(
        "consider considering considered explain describe determine identify provide include including \
         specific specifically detail details detailed following based given task question answer response \
         ensure clear clearly concise example please make sure use using write list name give choose",
    )
});

pub(crate) fn is_stop(word: &str) -> bool {
    STOP.contains(word)
}

pub(super) fn is_common(word: &str) -> bool {
    COMMON.contains(word) || word.strip_suffix('s').is_some_and(|w| COMMON.contains(w))
}

pub(super) fn is_asking(word: &str) -> bool {
    ASKING.contains(word)
}

/// Whether a word can carry an answer.
pub(super) fn is_content(word: &str) -> bool {
    !is_stop(word) && (word.len() > 2 || word.bytes().any(|b| b.is_ascii_digit()))
}

/// A light suffix stripper: enough to see "tilted" and "tilt", "bodies" and "body" as one.
pub(crate) fn stem(word: &str) -> &str {
    const SUFFIXES: [&str; 18] = [
        "ations", "ation", "ingly", "ments", "ment", "ness", "ings", "ing", "ied", "ies", "ers",
        "ed", "es", "er", "ly", "s", "e", "y",
    ];
    let mut stem = word;
    for suffix in SUFFIXES {
        if let Some(rest) = stem.strip_suffix(suffix)
            && rest.len() >= 3
            && rest.is_ascii()
        {
            stem = rest;
        }
    }
    // "running", "run"
    let bytes = stem.as_bytes();
    let doubled = bytes.len() > 3 && bytes[bytes.len() - 1] == bytes[bytes.len() - 2];
    if doubled && stem.len() < word.len() {
        &stem[..stem.len() - 1]
    } else {
        stem
    }
}

/// Whether two words are forms of one: equal stems, or a long shared beginning ("gravity", "gravitational").
pub(super) fn akin(a: &str, b: &str) -> bool {
    if a == b {
        return true;
    }
    // Forms of a word share their beginning: this settles most pairs.
    if a.as_bytes().get(..3) != b.as_bytes().get(..3) {
        return false;
    }
    if is_asking(a) || is_asking(b) {
        return false;
    }
    let (stem_a, stem_b) = (stem(a), stem(b));
    if stem_a == stem_b {
        return true;
    }
    let shared = stem_a
        .bytes()
        .zip(stem_b.bytes())
        .take_while(|(x, y)| x == y)
        .count();
    let (short, long) = (
        stem_a.len().min(stem_b.len()),
        stem_a.len().max(stem_b.len()),
    );
    shared >= 5 && shared * 6 >= short * 5 && long - shared <= 7
}

/// Edits (insert, remove, replace) from one text to the other.
pub(super) fn distance(a: &[u8], b: &[u8]) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = i;
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_of_one_word() {
        for (a, b) in [
            ("tilted", "tilt"),
            ("gravitational", "gravity"),
            ("mitochondria", "mitochondrion"),
        ] {
            assert!(akin(a, b), "{a} {b}");
        }
        for (a, b) in [
            ("consider", "consideration"),
            ("sign", "sigh"),
            ("metal", "metaphor"),
        ] {
            assert!(!akin(a, b), "{a} {b}");
        }
    }

    #[test]
    fn edits() {
        assert_eq!(distance(b"kitten", b"sitting"), 3);
        assert_eq!(distance(b"", b"abc"), 3);
    }
}
