//! Where a piece of work belongs, in the words of W3C Trace Context: what travels as [`HEADER`] beside a body and stands
//! in log lines as `trace_id` and `span_id`.
//!
//! A run is a trace, an attempt of a task a span of it. Both ids derive from what they are of, so that every process
//! finds the same ones at any time, also after a restart, and nobody has to store them.

use domain::{
    hash::Hash,
    ids::{RunId, TaskId},
};
use std::{fmt, str::FromStr};

/// The name of the header.
pub const HEADER: &str = "traceparent";
/// The only version that there is.
const VERSION: &str = "00";
/// The flags that we write: whoever collects traces may want this one.
const SAMPLED: &str = "01";

/// A span, and the trace that it belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trace {
    trace: [u8; 16],
    span: [u8; 8],
}

impl Trace {
    /// The span of a whole run. Its trace id is the run's id without hyphens.
    pub fn of_run(run: RunId) -> Self {
        Self::in_run(run, Hash::of([&run.0.as_bytes()[..], b"run"]))
    }

    /// The span of an attempt.
    pub fn of_attempt(run: RunId, task: TaskId, epoch: u32) -> Self {
        let parts = [&task.0.as_bytes()[..], &epoch.to_le_bytes()];
        Self::in_run(run, Hash::of(parts))
    }

    fn in_run(run: RunId, hash: Hash) -> Self {
        Self {
            trace: run.0.into_bytes(),
            span: span(hash),
        }
    }

    /// A span below this one; who makes several gives each another number.
    pub fn child(&self, number: u64) -> Self {
        let parts = [&self.span[..], &number.to_le_bytes()];
        Self {
            trace: self.trace,
            span: span(Hash::of(parts)),
        }
    }

    /// 32 hexadecimal digits.
    pub fn trace_id(&self) -> String {
        hex(&self.trace)
    }

    /// 16 hexadecimal digits.
    pub fn span_id(&self) -> String {
        hex(&self.span)
    }
}

/// All zeros would be no span.
fn span(hash: Hash) -> [u8; 8] {
    hash.seed().max(1).to_be_bytes()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// The value of the header.
impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (trace, span) = (self.trace_id(), self.span_id());
        write!(f, "{VERSION}-{trace}-{span}-{SAMPLED}")
    }
}

/// A header that says nothing: it is passed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "no traceparent: version, trace id, parent id and flags in hexadecimal digits, as in 00-…-…-01"
)]
pub struct BadTrace;

impl FromStr for Trace {
    type Err = BadTrace;

    /// Of later versions only what the first one has is read, as the standard demands.
    fn from_str(text: &str) -> Result<Self, BadTrace> {
        let mut parts = text.split('-');
        let mut next = |digits| parts.next().filter(|p| is_hex(p, digits)).ok_or(BadTrace);
        let (version, trace, span, _flags) = (next(2)?, next(32)?, next(16)?, next(2)?);
        let more = parts.next().is_some();
        if version == "ff" || (version == VERSION && more) {
            return Err(BadTrace);
        }
        let trace = u128::from_str_radix(trace, 16).map_err(|_| BadTrace)?;
        let span = u64::from_str_radix(span, 16).map_err(|_| BadTrace)?;
        if trace == 0 || span == 0 {
            return Err(BadTrace);
        }
        Ok(Self {
            trace: trace.to_be_bytes(),
            span: span.to_be_bytes(),
        })
    }
}

fn is_hex(part: &str, digits: usize) -> bool {
    let digit = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
    part.len() == digits && part.bytes().all(digit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_a_trace_and_an_attempt_a_span_of_it() {
        let run: RunId = "01936f1c-0000-7000-8000-000000000001".parse().unwrap();
        let task = run.task("t");
        let attempt = Trace::of_attempt(run, task, 3);
        assert_eq!(attempt.trace_id(), "01936f1c000070008000000000000001");
        assert_eq!(attempt, Trace::of_attempt(run, task, 3));
        let others = [
            Trace::of_run(run),
            Trace::of_attempt(run, task, 4),
            Trace::of_attempt(run, run.task("u"), 3),
            attempt.child(0),
            attempt.child(1),
        ];
        for other in others {
            assert_eq!(other.trace_id(), attempt.trace_id());
            assert_ne!(other.span_id(), attempt.span_id());
        }
        assert_ne!(others[3], others[4]);
        assert_eq!(attempt.to_string().parse(), Ok(attempt));
    }

    #[test]
    fn the_header_is_that_of_the_standard() {
        let (trace, span) = ("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7");
        let read = |text: &str| text.parse::<Trace>();
        let good = read(&format!("00-{trace}-{span}-01")).unwrap();
        assert_eq!(
            (good.trace_id().as_str(), good.span_id().as_str()),
            (trace, span)
        );
        assert_eq!(good.to_string(), format!("00-{trace}-{span}-01"));
        // A later version may have more.
        assert_eq!(read(&format!("01-{trace}-{span}-00-more")), Ok(good));
        let zeros = "0".repeat(32);
        for bad in [
            String::new(),
            format!("00-{trace}-{span}"),
            format!("00-{trace}-{span}-01-more"),
            format!("ff-{trace}-{span}-01"),
            format!("00-{zeros}-{span}-01"),
            format!("00-{trace}-0000000000000000-01"),
            format!("00-{}-{span}-01", trace.to_uppercase()),
            format!("00-{trace}x-{span}-01"),
        ] {
            assert_eq!(read(&bad), Err(BadTrace), "{bad}");
        }
    }
}
