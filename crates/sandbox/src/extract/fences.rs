//! Blocks between fences.

use super::{dedented, defines, prose};

struct Block {
    tag: String,
    text: String,
}

/// The block that holds the answer: the last that defines the function, else the first that is Python.
pub(super) fn chosen(reply: &str, entry_point: &str) -> Option<String> {
    if let Some(continued) = continued(reply) {
        return Some(continued);
    }
    let blocks = blocks(reply);
    let whole = |block: &&Block| defines(&dedented(&block.text), entry_point);
    let python = |block: &&Block| matches!(block.tag.as_str(), "" | "python" | "python3" | "py");
    let block = blocks
        .iter()
        .rfind(whole)
        .or_else(|| blocks.iter().find(python))
        .or_else(|| blocks.first())?;
    Some(block.text.clone())
}

/// Code up to a fence that was opened before the reply began.
fn continued(reply: &str) -> Option<String> {
    let first = reply.lines().find(|line| !line.trim().is_empty())?;
    let (before, _) = reply.split_once("\n```")?;
    let fences = reply.lines().filter(|line| fence(line).is_some()).count();
    (fences % 2 == 1 && prose::is_code(first)).then(|| before.to_owned())
}

fn blocks(reply: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut open: Option<(String, Block)> = None;
    for line in reply.lines() {
        match (&mut open, fence(line)) {
            (None, Some((mark, tag))) => {
                let text = String::new();
                open = Some((mark, Block { tag, text }));
            }
            // A longer fence holds shorter ones.
            (Some((mark, _)), Some((other, tag)))
                if tag.is_empty() && other.starts_with(&*mark) =>
            {
                blocks.extend(open.take().map(|(_, block)| block));
            }
            (Some((_, block)), _) => {
                block.text.push_str(line);
                block.text.push('\n');
            }
            (None, None) => {}
        }
    }
    // A reply may have been cut before its last fence.
    blocks.extend(open.map(|(_, block)| block));
    blocks.retain(|block| !block.text.trim().is_empty());
    blocks
}

/// The marks of a line that is a fence, and its tag.
fn fence(line: &str) -> Option<(String, String)> {
    let line = line.trim();
    let mark = line.chars().next().filter(|c| ['`', '~'].contains(c))?;
    let tag = line.trim_start_matches(mark);
    let marks = &line[..line.len() - tag.len()];
    (marks.len() >= 3 && !tag.contains(mark)).then(|| (marks.to_owned(), tag.trim().to_lowercase()))
}
