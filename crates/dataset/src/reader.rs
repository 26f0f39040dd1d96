//! The stream of rows.

use crate::error::{DatasetError, Problem, RowError};
use crate::formats::Parser;
use crate::records::{Broken, Records};
use crate::sample::{Draw, Sample};
use crate::source::{OnBadRow, Source};
use crate::{files, formats, input};
use domain::example::{Example, Reference};
use std::collections::VecDeque;
use std::path::{Path, PathBuf};

/// How many skipped rows are kept to be shown.
const KEPT: usize = 5;

/// One good row.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// What it says.
    pub example: Example,
    /// The file it is from.
    pub file: PathBuf,
    /// The line at which it starts, from 1.
    pub line: u64,
}

/// What a reader met so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Good rows read; of a sample, those it was drawn from.
    pub rows: u64,
    /// Good rows without a reference: only graders that need none can grade them.
    pub without_reference: u64,
    /// Bad rows left out.
    pub skipped: u64,
    /// The first few of these.
    pub first_skipped: Vec<RowError>,
}

/// The rows of a source, one at a time, in the order of the files' names and of the rows in them.
///
/// With [`OnBadRow::Fail`] the first error is the last item. With [`OnBadRow::Skip`] bad rows are
/// counted; what still ends the reading is a file whose rest cannot be read ([`RowError::fatal`]).
pub struct Reader {
    source: Source,
    files: VecDeque<PathBuf>,
    current: Option<Open>,
    /// How many rows were good when the current file is to be left.
    until: u64,
    summary: Summary,
    /// The sample, once everything is read.
    drawn: Option<std::vec::IntoIter<Row>>,
}

/// The file being read.
struct Open {
    path: PathBuf,
    records: Records,
    parser: Parser,
}

/// Opens a source: its options, path and first file are looked at, so that a wrong path or format
/// is known before anything starts.
///
/// # Errors
/// [`DatasetError`] names the option, path or line, what was found and what would be right.
pub fn open(source: &Source) -> Result<Reader, DatasetError> {
    source.check()?;
    let mut files: VecDeque<PathBuf> = files::resolve(source)?.into();
    let wrong = |error| DatasetError::File {
        name: source.name.clone(),
        error,
    };
    let first = files
        .pop_front()
        .map(|path| Open::new(source, path))
        .transpose()
        .map_err(wrong)?;
    if let (Some(first), true) = (&first, files.is_empty())
        && is_empty(&first.path)
    {
        return Err(DatasetError::Path {
            name: source.name.clone(),
            path: source.path.clone(),
            problem: "the file is empty".to_owned(),
        });
    }
    let mut reader = Reader {
        source: source.clone(),
        files,
        current: first,
        until: 0,
        summary: Summary::default(),
        drawn: None,
    };
    reader.until = reader.share();
    Ok(reader)
}

/// The names of a CSV file's columns; none where the file is empty.
///
/// # Errors
/// When the file or its first record cannot be read.
pub fn columns(path: &Path) -> Result<Vec<String>, RowError> {
    let opened = input::open(path).map_err(|e| Broken::io(1, &e));
    opened
        .and_then(formats::columns)
        .map_err(|broken| at(path, broken))
}

fn is_empty(path: &Path) -> bool {
    path.metadata().is_ok_and(|m| m.len() == 0)
}

impl Open {
    fn new(source: &Source, path: PathBuf) -> Result<Self, RowError> {
        let opened = input::open(&path).map_err(|e| Broken::io(1, &e));
        match opened.and_then(|input| Parser::open(source, &path, input)) {
            Ok((records, parser)) => Ok(Self {
                path,
                records,
                parser,
            }),
            Err(broken) => Err(at(&path, broken)),
        }
    }

    fn next(&mut self) -> Option<Result<Row, RowError>> {
        let record = match self.records.next()? {
            Ok(record) => record,
            Err(broken) => return Some(Err(at(&self.path, broken))),
        };
        let line = record.line;
        let row = |example| Row {
            example,
            file: self.path.clone(),
            line,
        };
        let bad = |problem: Problem| {
            at(
                &self.path,
                Broken {
                    line,
                    problem,
                    fatal: false,
                },
            )
        };
        Some(self.parser.parse(record).map(row).map_err(bad))
    }
}

pub(crate) fn at(file: &Path, broken: Broken) -> RowError {
    let Broken {
        line,
        problem,
        fatal,
    } = broken;
    RowError {
        file: file.to_owned(),
        line,
        problem: Box::new(problem),
        fatal,
    }
}

impl Reader {
    /// How many bad rows were left out so far.
    pub fn skipped(&self) -> u64 {
        self.summary.skipped
    }

    /// What was met so far.
    pub fn summary(&self) -> &Summary {
        &self.summary
    }

    /// Where the current file ends for us: each file gives its share of what the limit leaves, so
    /// that a folder of subjects is not cut down to the first of them.
    fn share(&self) -> u64 {
        let files = self.files.len() as u64 + 1;
        self.source.limit.map_or(u64::MAX, |limit| {
            self.summary.rows + (limit as u64 - self.summary.rows).div_ceil(files)
        })
    }

    fn stop(&mut self) {
        self.current = None;
        self.files.clear();
    }

    /// The next good or bad row of any file.
    fn advance(&mut self) -> Option<Result<Row, RowError>> {
        loop {
            let wanted = self.summary.rows < self.until;
            if let Some(row) = self
                .current
                .as_mut()
                .filter(|_| wanted)
                .and_then(Open::next)
            {
                return Some(row);
            }
            self.current = None;
            match Open::new(&self.source, self.files.pop_front()?) {
                Ok(open) => self.current = Some(open),
                Err(error) => return Some(Err(error)),
            }
            self.until = self.share();
        }
    }

    fn skip(&mut self, error: RowError) {
        self.summary.skipped += 1;
        if self.summary.first_skipped.len() < KEPT {
            self.summary.first_skipped.push(error);
        }
    }
}

impl Iterator for Reader {
    type Item = Result<Row, RowError>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.source.sample {
            None => self.read(),
            Some(sample) => self.draw(sample),
        }
    }
}

impl Reader {
    /// The next row of the sample, which is drawn from all rows first.
    fn draw(&mut self, sample: Sample) -> Option<Result<Row, RowError>> {
        if self.drawn.is_none() {
            let mut draw = Draw::new(sample);
            while let Some(row) = self.read() {
                match row {
                    Ok(row) => draw.offer(row),
                    Err(error) => return Some(Err(error)),
                }
            }
            self.drawn = Some(draw.finish());
        }
        self.drawn.as_mut()?.next().map(Ok)
    }

    /// The next good row, or the error that ends the reading.
    fn read(&mut self) -> Option<Result<Row, RowError>> {
        loop {
            match self.advance()? {
                Ok(row) => {
                    self.summary.rows += 1;
                    let none = row.example.reference == Reference::None;
                    self.summary.without_reference += u64::from(none);
                    return Some(Ok(row));
                }
                Err(error) if self.source.on_bad_row == OnBadRow::Skip && !error.fatal => {
                    self.skip(error);
                }
                Err(error) => {
                    self.stop();
                    return Some(Err(error));
                }
            }
        }
    }
}
