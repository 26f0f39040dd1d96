//! Code out of a model's reply: fences and prose taken away, a body put under its signature.

mod body;
mod fences;
mod prose;
#[cfg(test)]
mod tests;

/// A whole program: what the prompt defines, and what the reply says the function is.
///
/// The reply may hold fences, prose before and after, a whole function with or without its imports, or only what is to
/// follow the prompt. A reply without code gives a program that fails its tests. Nothing is run.
pub fn extract(reply: &str, prompt: &str, entry_point: &str) -> String {
    let code = match fences::chosen(reply, entry_point) {
        Some(block) => block,
        None => prose::without(reply),
    };
    let code = dedented(&code);
    if !defines(prompt, entry_point) {
        return code + "\n";
    }
    if defines(&code, entry_point) {
        return whole(prompt, &code);
    }
    body::joined(prompt, &code, entry_point)
}

/// Whether code has the function at its top level.
fn defines(code: &str, name: &str) -> bool {
    code.lines()
        .any(|line| defined(line, name) || assigned(line, name))
}

fn defined(line: &str, name: &str) -> bool {
    let line = line.strip_prefix("async ").unwrap_or(line);
    let rest = line.strip_prefix("def ").map(str::trim_start);
    let rest = rest.and_then(|rest| rest.strip_prefix(name));
    rest.is_some_and(|rest| rest.trim_start().starts_with(['(', '[']))
}

/// A lambda, or another function by a second name.
fn assigned(line: &str, name: &str) -> bool {
    let rest = line.strip_prefix(name).map(str::trim_start);
    let value = rest.and_then(|rest| rest.strip_prefix('='));
    value.is_some_and(|value| !value.starts_with('='))
}

/// The prompt for its imports and helpers, then the function that takes the place of the unfinished one.
fn whole(prompt: &str, code: &str) -> String {
    let (future, code) = future(code);
    format!("{future}{}\n\n{code}\n", closed(prompt))
}

/// The prompt as a program that can be run: a function with no body but its description has one already.
fn closed(prompt: &str) -> String {
    let prompt = prompt.trim_end();
    if prompt.ends_with("\"\"\"") || prompt.ends_with("'''") {
        return prompt.to_owned();
    }
    format!("{prompt}\n    pass")
}

/// Imports from the future stand before everything else, or Python refuses them.
fn future(code: &str) -> (String, String) {
    let (future, rest): (Vec<_>, Vec<_>) = code
        .lines()
        .partition(|line| line.starts_with("from __future__ import"));
    let future: String = future.iter().map(|line| format!("{line}\n")).collect();
    (future, rest.join("\n"))
}

/// Code moved to the left as far as all of it goes, and without blank lines around it. Tabs count as four.
fn dedented(code: &str) -> String {
    let lines: Vec<String> = code.lines().map(spaced).collect();
    let full = || lines.iter().filter(|line| !line.trim().is_empty());
    let whole = full().next().is_some_and(|line| starts_whole(line));
    // What is to follow a signature keeps its place: it may begin deeper than it goes on.
    let left = if whole {
        full().map(|line| indent(line)).min().unwrap_or(0)
    } else {
        0
    };
    let moved: Vec<&str> = lines
        .iter()
        .map(|line| line.get(left..).unwrap_or_default().trim_end())
        .collect();
    let start = moved
        .iter()
        .position(|line| !line.is_empty())
        .unwrap_or(moved.len());
    let end = moved
        .iter()
        .rposition(|line| !line.is_empty())
        .map_or(start, |last| last + 1);
    moved[start..end].join("\n")
}

fn starts_whole(line: &str) -> bool {
    ["def ", "async def ", "import ", "from ", "class ", "@", "#"]
        .iter()
        .any(|start| line.trim_start().starts_with(start))
}

/// A line whose leading tabs are spaces.
fn spaced(line: &str) -> String {
    let rest = line.trim_start_matches(['\t', ' ']);
    let start = &line[..line.len() - rest.len()];
    start.replace('\t', "    ") + rest
}

fn indent(line: &str) -> usize {
    line.len() - line.trim_start_matches(' ').len()
}
