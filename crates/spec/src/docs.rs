//! `docs/spec.md`: the reference of every key, written from [`crate::keys::KEYS`].

use crate::keys::{Absent, KEYS, Key, Kind};
use std::fmt::Write as _;

/// Where the generated part of `docs/spec.md` begins.
pub const BEGIN: &str = "<!-- keys: written from crates/spec/src/keys.rs by UPDATE_DOCS=1 -->";
/// Where it ends.
pub const END: &str = "<!-- end of keys -->";

/// The reference as Markdown: a heading and a table for each section.
pub fn reference() -> String {
    let mut out = String::new();
    let mut open = "";
    for key in KEYS {
        let (section, name) = split(key.path);
        if section != open {
            open = section;
            let _ = write!(out, "\n### {}\n\n", heading(section));
            out.push_str("| key | type | default | meaning |\n| --- | --- | --- | --- |\n");
        }
        let _ = writeln!(
            out,
            "| `{name}`{} | {} | {} | {} |",
            condition(key),
            kind(key.kind),
            default(key.default),
            key.doc
        );
    }
    out
}

/// The section of a key, and its name there.
fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('.').unwrap_or(("", path))
}

fn heading(section: &str) -> String {
    let section = section.replace(".*", ".NAME");
    match section.strip_suffix("[]") {
        Some(list) => format!("`[[{list}]]`"),
        None => format!("`[{}]`", section.replace("[]", "")),
    }
}

fn condition(key: &Key) -> String {
    match key.only {
        [] => String::new(),
        kinds => format!(" ({})", kinds.join(", ")),
    }
}

fn kind(kind: Kind) -> String {
    match kind {
        Kind::Text => "text".to_owned(),
        Kind::Word(words) => words
            .iter()
            .map(|w| format!("`{w}`"))
            .collect::<Vec<_>>()
            .join(", "),
        Kind::Flag => "true or false".to_owned(),
        Kind::Count(low, i64::MAX) => format!("whole number, at least {low}"),
        Kind::Count(low, high) => format!("whole number, {low} to {high}"),
        Kind::Number(low, high) if high >= 1e300 => format!("number, at least {low}"),
        Kind::Number(low, high) => format!("number, {low} to {high}"),
        Kind::Positive(high) => format!("number above 0, at most {high}"),
        Kind::Texts => "list of texts".to_owned(),
        Kind::TextOrTexts => "text, or list of texts".to_owned(),
    }
}

fn default(default: Absent) -> String {
    match default {
        Absent::Required => "required".to_owned(),
        Absent::Nothing => "–".to_owned(),
        Absent::Is(value) => format!("`{value}`"),
        Absent::Says(words) => words.to_owned(),
    }
}
