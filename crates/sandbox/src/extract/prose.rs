//! Code and prose without fences between them.

/// Words that begin a statement whatever follows.
const STATEMENTS: &[&str] = &[
    "return", "raise", "pass", "assert", "global", "nonlocal", "yield", "del", "break", "continue",
];

/// Words that begin a statement that has a colon, and many a sentence.
const BLOCKS: &[&str] = &[
    "if", "for", "while", "with", "try", "else", "elif", "except", "finally", "match", "async",
];

/// What is code in a reply, from its first line of code to the first line that is none.
pub(super) fn without(reply: &str) -> String {
    let lines: Vec<&str> = reply.lines().collect();
    let Some(start) = start(&lines) else {
        return reply.to_owned();
    };
    let mut kept: Vec<&str> = Vec::new();
    let mut quoted = false;
    for line in &lines[start..] {
        if !quoted && !line.trim().is_empty() && !is_code(line) {
            break;
        }
        let marks = line.matches("\"\"\"").count() + line.matches("'''").count();
        quoted ^= marks % 2 == 1;
        kept.push(line);
    }
    kept.join("\n")
}

/// Where code begins: at once, or else with the first line that only code has.
fn start(lines: &[&str]) -> Option<usize> {
    let first = lines.iter().position(|line| !line.trim().is_empty())?;
    if is_code(lines[first]) {
        return Some(first);
    }
    let certain = |line: &&str| declares(line) && line.trim_end() == line.trim();
    lines
        .iter()
        .position(certain)
        .or_else(|| lines.iter().position(|line| is_code(line)))
}

/// Whether a line can be Python: indented, or begun as statements are.
pub(super) fn is_code(line: &str) -> bool {
    if line.starts_with([' ', '\t', '#', ')', ']', '}', '"', '\'', '(']) || declares(line) {
        return true;
    }
    let word: &str = line
        .split(|c: char| !c.is_alphanumeric() && c != '_')
        .next()
        .unwrap_or_default();
    if STATEMENTS.contains(&word) {
        return true;
    }
    if BLOCKS.contains(&word) {
        return line
            .split('#')
            .next()
            .unwrap_or_default()
            .trim_end()
            .ends_with(':')
            || line.contains(": ");
    }
    assigns_or_calls(line, word)
}

/// Definitions and imports.
fn declares(line: &str) -> bool {
    let name = |text: &str| text.starts_with(|c: char| c.is_alphabetic() || c == '_' || c == '.');
    let names = |text: &str| {
        let text = text.split('#').next().unwrap_or_default();
        name(text)
            && text
                .split(',')
                .all(|part| matches!(part.split_whitespace().count(), 1 | 3))
    };
    let rest = |start: &str| line.strip_prefix(start);
    rest("def ").is_some_and(|rest| rest.contains('('))
        || rest("async def ").is_some()
        || rest("class ").is_some_and(|rest| rest.contains(':'))
        || rest("@").is_some_and(name)
        || rest("import ").is_some_and(names)
        || rest("from ").is_some_and(|rest| name(rest) && rest.contains(" import "))
}

/// `name = ...`, `name, other = ...`, `name[i] += ...`, `name.method(...)`.
fn assigns_or_calls(line: &str, word: &str) -> bool {
    if word.is_empty() {
        return false;
    }
    let rest = line[word.len()..].trim_start();
    let called = line[word.len()..].starts_with(['(', '[', '.']) && rest.len() > 1;
    let spaces = line.split('=').next().unwrap_or_default().trim();
    let target = spaces
        .split(',')
        .all(|part| part.split_whitespace().count() == 1 || part.contains(':'));
    (called && !rest.starts_with(". ")) || (line.contains('=') && target)
}
