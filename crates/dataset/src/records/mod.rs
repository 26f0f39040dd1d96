//! Files cut into records, each with the line at which it starts. One record is held at a time and
//! none may be longer than [`MAX_RECORD`], so that a broken file of any size needs no memory in
//! proportion.

mod csv;
mod json;
mod lines;

use crate::error::Problem;
use crate::input::Input;
pub(crate) use csv::CsvRecords;
pub(crate) use json::Elements;
pub(crate) use lines::Lines;
use std::io;

/// The longest record, in bytes; a longer one is a bad row.
pub(crate) const MAX_RECORD: usize = 16 << 20;

/// One record, not yet understood.
#[derive(Debug)]
pub(crate) struct Record {
    /// The line at which it starts, from 1.
    pub line: u64,
    /// What it holds.
    pub body: Body,
}

/// What a record holds.
#[derive(Debug)]
pub(crate) enum Body {
    /// A line, or a JSON value.
    Bytes(Vec<u8>),
    /// The fields of a CSV record.
    Fields(Vec<Vec<u8>>),
}

/// A record that could not be cut out.
#[derive(Debug)]
pub(crate) struct Broken {
    /// The line at which it starts, from 1.
    pub line: u64,
    /// What is wrong.
    pub problem: Problem,
    /// Whether the rest of the file is lost with it.
    pub fatal: bool,
}

impl Broken {
    pub(crate) fn fatal(line: u64, problem: Problem) -> Self {
        Self {
            line,
            problem,
            fatal: true,
        }
    }

    pub(crate) fn io(line: u64, error: &io::Error) -> Self {
        Self::fatal(line, Problem::row(format!("cannot be read: {error}")))
    }

    fn too_long(line: u64) -> Self {
        let most = MAX_RECORD >> 20;
        let problem = Problem::row(format!(
            "the row is longer than {most} MiB: split or remove it"
        ));
        Self {
            line,
            problem,
            fatal: false,
        }
    }
}

/// A file cut into records by one of three rules.
pub(crate) enum Records {
    /// A record a line.
    Lines(Lines),
    /// CSV by RFC 4180.
    Csv(Box<CsvRecords>),
    /// The elements of a JSON array.
    Json(Elements),
}

impl Records {
    /// JSON lines, or the elements of a JSON array: told by the first byte that is no space.
    pub(crate) fn json(input: Input) -> Result<Self, Broken> {
        let mut elements = Elements::new(input);
        match elements.peek().map_err(|e| Broken::io(1, &e))? {
            Some(b'[') => elements.enter_array().map(|()| Self::Json(elements)),
            Some(b'{') | None => Ok(Self::Lines(elements.into_lines())),
            Some(_) => {
                let found = elements.rest_of_line();
                let wanted = "expected JSON: an array of objects, or an object a line";
                Err(Broken::fatal(1, Problem::found(&found, wanted)))
            }
        }
    }
}

impl Iterator for Records {
    type Item = Result<Record, Broken>;

    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Records::Lines(lines) => lines.next(),
            Records::Csv(records) => records.next(),
            Records::Json(elements) => elements.next(),
        }
    }
}
