//! What follows a prompt: the rest of a function, as models give it.

use super::{indent, prose};

/// The prompt, continued. Imports that the reply puts in front go to the front; the body goes to where the prompt's
/// function has its own lines.
pub(super) fn joined(prompt: &str, code: &str, entry_point: &str) -> String {
    let mut lines: Vec<&str> = code.lines().collect();
    let imports = lines
        .iter()
        .take_while(|line| line.is_empty() || is_import(line))
        .count();
    let body = lines.split_off(imports);
    let mut program: String = lines.iter().map(|line| format!("{line}\n")).collect();
    program.push_str(prompt.trim_end_matches([' ', '\t']));
    if !prompt.ends_with('\n') {
        program.push('\n');
    }
    for line in placed(&body, depth(prompt, entry_point)) {
        program.push_str(&line);
        program.push('\n');
    }
    program
}

fn is_import(line: &str) -> bool {
    (line.starts_with("import ") || line.starts_with("from ")) && prose::is_code(line)
}

/// How far the lines of the prompt's function are from the left.
fn depth(prompt: &str, entry_point: &str) -> usize {
    let signature = |line: &&str| line.trim_start().starts_with(&format!("def {entry_point}"));
    let mut lines = prompt.lines().skip_while(|line| !signature(line));
    let own = indent(lines.next().unwrap_or_default());
    // A signature may go over several lines, the last of which has the colon.
    let inside = lines.find(|line| !line.trim().is_empty() && indent(line) > own);
    match inside {
        Some(line)
            if line
                .trim_start()
                .starts_with(['"', '\'', 'r', 'u', 'f', '#']) =>
        {
            indent(line)
        }
        _ => own + 4,
    }
}

/// Lines of a body moved to their depth.
fn placed(body: &[&str], depth: usize) -> Vec<String> {
    let full = || body.iter().filter(|line| !line.trim().is_empty());
    let Some(first) = full().next() else {
        return vec![" ".repeat(depth) + "pass"];
    };
    let from = indent(first);
    let others = full().skip(1).map(|line| indent(line)).min();
    if from == 0 && stripped(first, full().nth(1), others) {
        // Only the start of the reply was trimmed; the others are where they belong.
        let mut lines = vec![" ".repeat(depth) + first];
        let rest = body
            .iter()
            .skip_while(|line| line.trim().is_empty())
            .skip(1);
        lines.extend(rest.map(|line| (*line).to_owned()));
        return lines;
    }
    // A body in its place may be followed by functions of its own.
    let helpers = from > 0 && others == Some(0);
    body.iter()
        .map(|line| moved(line, (from, depth), helpers))
        .collect()
}

/// Whether a line at the very left has lost the space that the lines after it have.
fn stripped(first: &str, second: Option<&&str>, others: Option<usize>) -> bool {
    let (Some(second), Some(others)) = (second, others) else {
        return false;
    };
    let opens = first
        .split('#')
        .next()
        .unwrap_or_default()
        .trim_end()
        .ends_with(':');
    match opens {
        true => others > 0 && indent(second) > others.max(4),
        false => others > 0,
    }
}

fn moved(line: &str, (from, to): (usize, usize), helpers: bool) -> String {
    if line.trim().is_empty() || (helpers && indent(line) == 0) {
        return line.to_owned();
    }
    if helpers && from == to {
        return line.to_owned();
    }
    let at = (indent(line) + to).saturating_sub(from);
    " ".repeat(at) + line.trim_start()
}
