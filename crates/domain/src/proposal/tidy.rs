//! What stands around a rewrite and is not part of it.

use super::{Form, extract::Found, fold::is_invisible, regex};
use regex::Regex;
use std::{borrow::Cow, sync::LazyLock};

/// No reply of good faith is wrapped this often.
const LAYERS: usize = 32;

/// Text without control characters, invisible characters and what a tokeniser could take for a control token
/// (`<|…|>`, `[INST]`, …). Lines end in `\n`.
pub fn clean(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.replace("\r\n", "\n").chars() {
        match c {
            '\r' | '\u{2028}' | '\u{2029}' | '\u{85}' => out.push('\n'),
            // Joiners belong to the spelling of some scripts and to emoji.
            '\u{200c}' | '\u{200d}' | '\u{fe0f}' if out.ends_with(|p: char| !p.is_ascii()) => {
                out.push(c)
            }
            _ if is_invisible(c) => {}
            _ => out.push(c),
        }
    }
    let token = regex!(
        r"(?i)<[|｜][^<>\n]{0,64}?[|｜]>|</?s>|\[/?inst\]|<</?sys>>",
        r"|<(?:bos|eos|pad|unk|endoftext|im_start|im_end|(?:start|end)_of_turn)>"
    );
    without(token, out)
}

/// Removing one match can join the halves of another, so this goes on until there are none.
fn without(pattern: &Regex, mut text: String) -> String {
    for _ in 0..LAYERS {
        match pattern.replace_all(&text, "") {
            Cow::Borrowed(_) => return text,
            Cow::Owned(less) => text = less,
        }
    }
    text.replace(['<', '['], "")
}

/// The rewrite without what surrounds it; empty where that has no end.
///
/// Every step only removes, and they are repeated until none removes anything: that makes reading stable.
pub fn tidy(found: &Found, original: &str, form: Form) -> String {
    // An instruction may well be a list, and say "Answer:"; only where nothing ends it are these a tail.
    let loose = found.open_ended || form == Form::Rewrite;
    let mut text = found.text.clone();
    for _ in 0..LAYERS {
        let less = once(&text, found.open_ended, loose, original);
        if less.len() == text.len() {
            return text;
        }
        text = less;
    }
    String::new()
}

fn once(text: &str, open_ended: bool, loose: bool, original: &str) -> String {
    let tag = regex!(r"(?i)<\s*/?\s*(?:prompt|version|question)\b[^<>]*>");
    let text = clean(&without(tag, text.to_owned()));
    let text = unfenced(text.trim());
    let text = unquoted(without_lead_in(text, original), original);
    let text = match loose {
        true => without_tail(first_of_list(text, original), original),
        false => text,
    };
    let text = if open_ended {
        first_paragraph(text, original)
    } else {
        text
    };
    let text = regex!(r"[ \t]+(\n|$)").replace_all(text, "$1");
    let text = regex!(r"\n{3,}").replace_all(&text, "\n\n");
    text.trim().to_owned()
}

/// The inside of a code fence that is all there is.
fn unfenced(text: &str) -> &str {
    let fence = regex!(r"(?s)^```[\w+-]*[ \t]*\n(.*?)\n?[ \t]*```$");
    let inside = fence.captures(text).and_then(|c| c.get(1));
    inside.map_or(text, |m| m.as_str())
}

/// Without "Sure!", "Here is the rewritten question:", "Question:" and their like.
fn without_lead_in<'a>(text: &'a str, original: &str) -> &'a str {
    let lead_ins = [
        regex!(
            r"(?i)^(?:sure|certainly|of course|absolutely|okay|ok|great)(?: thing)?",
            r"(?:[!.:]\s+|,?\s+(?:here|i|below|the)\b[^\n:]{0,120}:\s*)"
        ),
        regex!(
            r"(?i)^\W{0,3}(?:here(?:['’]s| is| are)|below (?:is|are)|this is|i(?:['’]ve| have)? (?:rewr|rephr|rew))",
            r"[^\n:?]{0,80}(?:rewrit|rewrot|revis|improv|rephras|reword|paraphras|clear|version)[^\n:?]{0,80}:[*_]*\s*"
        ),
        regex!(
            r"(?i)^[#>*_\s]*(?:(?:my|the|a|your)\s+)?",
            r"(?:new|final|better|clearer|updated|modified|improved|revised|re-?written|rephrased|reworded",
            r"|paraphrased|rewrite|paraphrase|version|option)",
            r"(?:\s+(?:programming )?(?:questions?|prompt|instructions?|version|task|query|problem|text|sentence))?",
            r"(?:\s*#?\d{1,2})?(?:\s+(?:is|reads|would be))?\s*[*_]*:[*_]*\s*"
        ),
        regex!(r"(?i)^[#>*_\s]*(?:question|prompt|instruction|task|q|input)[*_]*:[*_]*\s*"),
    ];
    let lead_in = lead_ins.iter().find_map(|r| r.find(text));
    match lead_in {
        Some(lead) if !starts_like(original, lead.as_str()) => &text[lead.end()..],
        _ => text,
    }
}

/// Without quotes or emphasis around the whole.
fn unquoted<'a>(text: &'a str, original: &str) -> &'a str {
    const PAIRS: [(&str, &str); 8] = [
        ("**", "**"),
        ("\"", "\""),
        ("“", "”"),
        ("«", "»"),
        ("‘", "’"),
        ("'", "'"),
        ("`", "`"),
        ("*", "*"),
    ];
    for (open, close) in PAIRS {
        let inside = text.strip_prefix(open).and_then(|t| t.strip_suffix(close));
        match inside {
            // Quoted twice inside: these are two quotations, not one.
            Some(t) if !t.contains(open) && !t.contains(close) && !starts_like(original, open) => {
                return t.trim();
            }
            _ => {}
        }
    }
    text
}

/// The first item, where the text is a list and the original is none.
fn first_of_list<'a>(text: &'a str, original: &str) -> &'a str {
    let marker = regex!(r"^(?:\(?\d{1,2}[.)]|[-*•])\s+");
    let Some(first) = marker
        .find(text)
        .filter(|_| !marker.is_match(original.trim()))
    else {
        return text;
    };
    let item = &text[first.end()..];
    let next = regex!(r"\n[ \t]*(?:\(?\d{1,2}[.)]|[-*•])\s").find(item);
    next.map_or(item, |n| &item[..n.start()]).trim()
}

/// Without what follows the rewrite: explanations, further versions, an answer, invented choices. A heading
/// that the original has too is no tail.
fn without_tail<'a>(text: &'a str, original: &str) -> &'a str {
    let tail = regex!(
        r"(?im)^[ \t]*[(*_#>]*(?:explanation\b|changes?(?: made)?[*_]*:|rationale\b|reasoning[*_]*:",
        r"|(?:the )?(?:correct |right )?answer[*_]*:|these changes\b",
        r"|this (?:rewrite|rewritten|version|revision|revised|rephras|reword|wording)",
        r"|the (?:rewritten|revised|rephrased|reworded|new) (?:question|version|prompt|instruction|task)",
        r"|i(?:['’]ve| have)? (?:rewrote|rewritten|rephrased|reworded|changed|made|kept|hope)\b",
        r"|let me know\b|hope this\b|(?:version|option|rewrite) \d",
        r"|(?:answer )?(?:choices|options)[*_]*:[ \t]*$",
        r"|\(?a[.):][ \t].*\n+[ \t]*\(?b[.):][ \t])"
    );
    let start = tail
        .find_iter(text)
        .find(|m| m.start() > 0 && !tail.is_match(original));
    start.map_or(text, |m| text[..m.start()].trim_end())
}

/// The first paragraph, where the original has one only: what follows an untagged rewrite explains it.
fn first_paragraph<'a>(text: &'a str, original: &str) -> &'a str {
    let gap = regex!(r"\n[ \t]*\n");
    if gap.is_match(original.trim()) {
        return text;
    }
    match gap.find(text) {
        // Not a rewrite yet, but what announces it.
        Some(gap) if text[..gap.start()].trim_end().ends_with(':') => &text[gap.end()..],
        Some(gap) => &text[..gap.start()],
        None => text,
    }
}

fn starts_like(original: &str, beginning: &str) -> bool {
    let (original, beginning) = (
        original.trim().to_lowercase(),
        beginning.trim().to_lowercase(),
    );
    original.starts_with(&beginning)
}
