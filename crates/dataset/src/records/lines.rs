//! A record a line; blank lines are passed over.

use super::{Body, Broken, MAX_RECORD, Record};
use crate::input::Input;
use std::io::{self, BufRead as _};

/// The lines of a file.
pub(crate) struct Lines {
    input: Input,
    line: u64,
}

impl Lines {
    /// Lines from here on, of which the first has this number.
    pub(crate) fn new(input: Input, line: u64) -> Self {
        Self { input, line }
    }

    /// Reads one line without its end and says whether it was too long to keep; `None` at the end.
    fn read(&mut self) -> io::Result<Option<(Vec<u8>, bool)>> {
        let mut bytes = Vec::new();
        let mut seen = 0;
        loop {
            let chunk = self.input.fill_buf()?;
            if chunk.is_empty() {
                return Ok((seen > 0).then_some((bytes, seen > MAX_RECORD)));
            }
            let end = chunk.iter().position(|b| *b == b'\n');
            let taken = end.unwrap_or(chunk.len());
            seen += taken;
            if seen <= MAX_RECORD {
                bytes.extend_from_slice(&chunk[..taken]);
            }
            self.input.consume(taken + usize::from(end.is_some()));
            if end.is_some() {
                return Ok(Some((bytes, seen > MAX_RECORD)));
            }
        }
    }
}

impl Iterator for Lines {
    type Item = Result<Record, Broken>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let line = self.line;
            let (mut bytes, too_long) = match self.read() {
                Ok(read) => read?,
                Err(error) => return Some(Err(Broken::io(line, &error))),
            };
            self.line += 1;
            if too_long {
                return Some(Err(Broken::too_long(line)));
            }
            if bytes.last() == Some(&b'\r') {
                bytes.pop();
            }
            if !bytes.iter().all(u8::is_ascii_whitespace) {
                return Some(Ok(Record {
                    line,
                    body: Body::Bytes(bytes),
                }));
            }
        }
    }
}
