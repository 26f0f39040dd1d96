//! Where in a reply the rewrite stands.

use super::regex;
use regex::Regex;
use std::{ops::Range, sync::LazyLock};

/// A stretch of the reply that may be the rewrite.
#[derive(Debug, PartialEq, Eq)]
pub struct Found {
    /// The text, not yet tidied.
    pub text: String,
    /// Nothing says where it ends: an explanation may follow.
    pub open_ended: bool,
}

/// The stretches of a cleaned reply that may be the rewrite, the likeliest first.
pub fn texts(reply: &str) -> Vec<Found> {
    let reply = after_thinking(reply);
    let tags = tags(reply);
    // Small models copy the tags they were shown instead of those they were asked for.
    for name in ["prompt", "version", "question"] {
        let inside = between(reply, &tags, name);
        if !inside.is_empty() {
            return inside;
        }
    }
    let text = match tags.iter().find(|t| t.closes) {
        Some(tag) => &reply[..tag.at.start],
        None => fenced(reply).unwrap_or(reply),
    };
    vec![Found {
        text: text.to_owned(),
        open_ended: true,
    }]
}

/// What follows a reasoning model's thoughts; nothing, if they never end.
fn after_thinking(reply: &str) -> &str {
    let end = regex!(r"(?i)</\s*think(?:ing)?\s*>")
        .find_iter(reply)
        .last();
    match end {
        Some(end) => &reply[end.end()..],
        None if regex!(r"(?i)^\s*<\s*think(?:ing)?\s*>").is_match(reply) => "",
        None => reply,
    }
}

struct Tag {
    at: Range<usize>,
    name: String,
    closes: bool,
}

fn tags(reply: &str) -> Vec<Tag> {
    let tag = regex!(r"(?i)<\s*(/?)\s*(prompt|version|question)\b[^<>]*>");
    let read = |c: regex::Captures<'_>| Tag {
        at: c.get(0).map(|m| m.range()).unwrap_or_default(),
        name: c[2].to_lowercase(),
        closes: !c[1].is_empty(),
    };
    tag.captures_iter(reply).map(read).collect()
}

/// What stands between an opening tag of this name and the next tag of any kind, or the end.
fn between(reply: &str, tags: &[Tag], name: &str) -> Vec<Found> {
    let opening = tags
        .iter()
        .enumerate()
        .filter(|(_, t)| t.name == name && !t.closes);
    opening
        .map(|(i, tag)| {
            let next = tags.get(i + 1);
            let end = next.map_or(reply.len(), |t| t.at.start);
            Found {
                text: reply[tag.at.end..end].to_owned(),
                open_ended: next.is_none(),
            }
        })
        .collect()
}

/// The inside of the first code fence, where nothing or a line with a colon leads to it.
fn fenced(reply: &str) -> Option<&str> {
    let fence = regex!(r"(?s)```[\w+-]*[ \t]*\n(.*?)\n?[ \t]*```").captures(reply)?;
    let before = reply[..fence.get(0)?.start()].trim_end();
    let leads = before.is_empty() || before.ends_with(':') || before.ends_with(":**");
    leads.then_some(fence.get(1)?.as_str())
}
