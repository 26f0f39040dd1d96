//! Which trace a message belongs to: read off its header, noted in log lines, handed on with what comes of it.

use queue::{Headers, Message};
use std::hash::{BuildHasher, RandomState};
use tracing::{Span, field::Empty};
use wire::trace::{HEADER, Trace};

/// Work on a message that belongs to a trace.
#[derive(Clone, Copy, Debug)]
pub struct Traced {
    /// Whoever sent it.
    pub parent: Trace,
    /// This work.
    pub own: Trace,
}

/// What the header of a message says; `None` where it says nothing.
pub fn of(message: &Message) -> Option<Trace> {
    message.headers.get(HEADER)?.parse().ok()
}

/// The trace of a message, and a new span in it.
pub fn received(message: &Message) -> Option<Traced> {
    let parent = of(message)?;
    // The same attempt may be worked on twice. Its keys are random, and so is what it makes of anything.
    let number = RandomState::new().hash_one(&message.id);
    let own = parent.child(number);
    Some(Traced { parent, own })
}

/// The span that log lines about a task stand in.
pub fn span(task: &str, traced: Option<&Traced>) -> Span {
    let span = tracing::info_span!(
        "task",
        task,
        trace_id = Empty,
        span_id = Empty,
        parent_span_id = Empty
    );
    if let Some(Traced { parent, own }) = traced {
        span.record("trace_id", own.trace_id());
        span.record("span_id", own.span_id());
        span.record("parent_span_id", parent.span_id());
    }
    span
}

impl Traced {
    /// What comes of the work belongs to it.
    pub fn hand_on(&self, headers: &mut Headers) {
        headers.insert(HEADER.to_owned(), self.own.to_string());
    }
}

/// The header of a message that belongs to a trace.
pub fn headers(trace: &Trace) -> Headers {
    [(HEADER.to_owned(), trace.to_string())].into()
}
