//! Beginnings that were read before, so that the next text which begins alike reads only what is its own.
//!
//! They form a tree: a node holds the keys and values of a run of tokens after those of its parent. A node is cut in two
//! where a text leaves it. When the tree grows beyond what it may hold, the leaf that was used longest ago goes: what many
//! texts begin with outlives what followed it. The idea is SGLang's RadixAttention; here nodes are copied out of the text
//! that read them, which costs a hundredth of reading them.

use crate::{
    cache::{Beginning, Piece},
    engine::Engine,
    error::Result,
    writing::{Draft, Writing},
};
use std::sync::Arc;

/// A run of tokens shorter than this is not worth a node.
const WORTH: usize = 16;

/// What was read before, up to so many bytes of keys and values.
#[derive(Debug)]
pub struct Prefixes {
    /// Texts without the adapter, and with it: they have nothing in common.
    roots: [Vec<Node>; 2],
    most: usize,
    clock: u64,
}

#[derive(Debug)]
struct Node {
    /// The tokens after the parent's.
    tokens: Vec<u32>,
    piece: Arc<Piece>,
    used: u64,
    children: Vec<Node>,
}

impl Prefixes {
    /// An empty tree that holds at most `most` bytes; with 0 nothing is ever known.
    pub fn new(most: usize) -> Self {
        Self {
            roots: [Vec::new(), Vec::new()],
            most,
            clock: 0,
        }
    }

    /// Bytes of keys and values that are held.
    pub fn bytes(&self) -> usize {
        self.roots.iter().flatten().map(Node::bytes).sum()
    }

    /// Takes over what `text` has read so far, as far as it is not known.
    pub fn keep(&mut self, text: &Writing) {
        let read = text.sequence();
        if self.most == 0 || read.len() < WORTH {
            return;
        }
        let tokens: Vec<u32> = text.tokens().take(read.len()).collect();
        self.clock += 1;
        let nodes = &mut self.roots[usize::from(read.tuned())];
        let (known, nodes) = descend(nodes, &tokens, self.clock, &mut Vec::new());
        if tokens.len() < known + WORTH {
            return;
        }
        nodes.push(Node {
            tokens: tokens[known..].to_vec(),
            piece: Arc::new(read.rest(known)),
            used: self.clock,
            children: Vec::new(),
        });
        self.shrink();
    }

    /// Drops leaves until what is held is within bounds.
    fn shrink(&mut self) {
        let mut held = self.bytes();
        while held > self.most {
            let oldest = self.roots.iter().flatten().map(Node::oldest_leaf).min();
            let freed = oldest.and_then(|used| self.roots.iter_mut().find_map(|r| prune(r, used)));
            let Some(freed) = freed else {
                return;
            };
            held -= freed;
        }
    }

    /// How many tokens of a prompt are known.
    fn known(&self, prompt: &[u32], tuned: bool) -> usize {
        let (mut nodes, mut at) = (&self.roots[usize::from(tuned)], 0);
        while let Some((child, same)) = closest(nodes, &prompt[at..]) {
            at += same;
            if same < nodes[child].tokens.len() {
                break;
            }
            nodes = &nodes[child].children;
        }
        at
    }

    /// The longest beginning of `prompt` that is known.
    fn find(&mut self, prompt: &[u32], tuned: bool) -> Beginning {
        self.clock += 1;
        let mut pieces = Vec::new();
        let nodes = &mut self.roots[usize::from(tuned)];
        descend(nodes, prompt, self.clock, &mut pieces);
        Beginning { pieces, tuned }
    }
}

impl Engine {
    /// Begins a text after what is known of its prompt. The prompt's last token is always read: its logits are wanted.
    ///
    /// # Errors
    /// As for [`Engine::begin`].
    pub fn begin_known(&self, draft: Draft, prefixes: &mut Prefixes) -> Result<Writing> {
        // Who asks about the prompt's tokens wants the logits of each.
        if draft.tell_prompt {
            return self.begin(draft);
        }
        let tuned = self.is_tuned(&draft);
        let known = prefixes.find(all_but_one(&draft.prompt), tuned);
        self.begin_after(self.network.after(known), draft)
    }

    fn is_tuned(&self, draft: &Draft) -> bool {
        self.network.is_adapted() && !draft.plain
    }

    /// Whether `draft` had better wait, because `text` is reading what both begin with.
    pub fn is_coming(&self, draft: &Draft, text: &Writing, prefixes: &Prefixes) -> bool {
        let tuned = text.sequence().tuned();
        if text.is_read() || draft.tell_prompt || tuned != self.is_tuned(draft) {
            return false;
        }
        let prompt = all_but_one(&draft.prompt);
        let both = common(&text.draft().prompt, prompt);
        // What is too large to be held would be waited for in vain.
        both * self.network.bytes_a_token() <= prefixes.most
            && both >= prefixes.known(prompt, tuned) + WORTH
    }
}

impl Node {
    fn bytes(&self) -> usize {
        self.piece.bytes() + self.children.iter().map(Self::bytes).sum::<usize>()
    }

    fn oldest_leaf(&self) -> u64 {
        let children = self.children.iter().map(Self::oldest_leaf);
        children.min().unwrap_or(self.used)
    }

    /// Cuts the node in two after so many tokens.
    fn cut(&mut self, at: usize) {
        let (head, tail) = self.piece.cut(at);
        let tail = Self {
            tokens: self.tokens.split_off(at),
            piece: Arc::new(tail),
            used: self.used,
            children: std::mem::take(&mut self.children),
        };
        self.piece = Arc::new(head);
        self.children.push(tail);
    }
}

/// Goes down as far as `tokens` are known, adding the pieces on the way: how far that is, and what stands below.
fn descend<'a>(
    nodes: &'a mut Vec<Node>,
    tokens: &[u32],
    now: u64,
    pieces: &mut Vec<Arc<Piece>>,
) -> (usize, &'a mut Vec<Node>) {
    let Some((child, same)) = closest(nodes, tokens) else {
        return (0, nodes);
    };
    let node = &mut nodes[child];
    if same < node.tokens.len() {
        node.cut(same);
    }
    node.used = now;
    pieces.push(Arc::clone(&node.piece));
    let (deeper, nodes) = descend(&mut node.children, &tokens[same..], now, pieces);
    (same + deeper, nodes)
}

/// Drops the leaf that was used at that moment, and says how many bytes it had.
fn prune(nodes: &mut Vec<Node>, used: u64) -> Option<usize> {
    let leaf = |node: &Node| node.children.is_empty() && node.used == used;
    if let Some(at) = nodes.iter().position(leaf) {
        return Some(nodes.swap_remove(at).piece.bytes());
    }
    let children = nodes.iter_mut().map(|node| &mut node.children);
    children.flat_map(|nodes| prune(nodes, used)).next()
}

/// The node that has the most in common with `tokens`, and how much, where that is worth a node or is one.
fn closest(nodes: &[Node], tokens: &[u32]) -> Option<(usize, usize)> {
    let same = nodes.iter().map(|node| common(&node.tokens, tokens));
    let (child, same) = same.enumerate().max_by_key(|(_, same)| *same)?;
    let whole = same > 0 && same == nodes[child].tokens.len();
    (whole || same >= WORTH).then_some((child, same))
}

fn common(a: &[u32], b: &[u32]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

fn all_but_one(prompt: &[u32]) -> &[u32] {
    &prompt[..prompt.len().saturating_sub(1)]
}
