//! CSV by RFC 4180, streamed through `csv-core`: its state machine says where a record ends, we
//! keep the line at which it started, bound its length and notice a quote that is never closed.

use super::{Body, Broken, MAX_RECORD, Record};
use crate::error::Problem;
use crate::input::Input;
use csv_core::{ReadRecordResult, Reader};
use std::io::{self, BufRead as _};

/// The records of a CSV file; the header, if any, is the first of them.
pub(crate) struct CsvRecords {
    input: Input,
    reader: Reader,
    line: u64,
    out: Vec<u8>,
    ends: Vec<usize>,
}

/// How reading one record ended.
enum End {
    Record { bytes: usize, fields: usize },
    TooLong,
    OpenQuote,
}

impl CsvRecords {
    pub(crate) fn new(input: Input) -> Self {
        Self {
            input,
            reader: Reader::new(),
            line: 1,
            out: vec![0; 4096],
            ends: vec![0; 16],
        }
    }

    /// Passes over line ends before a record (blank lines, the second half of `\r\n`), so that
    /// `line` is where the record starts; `false` at the end of the file.
    fn skip_blank(&mut self) -> io::Result<bool> {
        loop {
            let chunk = self.input.fill_buf()?;
            let Some(&first) = chunk.first() else {
                return Ok(false);
            };
            if first != b'\n' && first != b'\r' {
                return Ok(true);
            }
            self.line += u64::from(first == b'\n');
            self.input.consume(1);
        }
    }

    fn read(&mut self) -> io::Result<End> {
        let (mut bytes, mut fields, mut too_long) = (0, 0, false);
        loop {
            let chunk = self.input.fill_buf()?;
            let at_end = chunk.is_empty();
            // At the end of the file a line end is fed first: a quoted field swallows it and stays
            // open.
            let feed = if at_end { &b"\n"[..] } else { chunk };
            let (result, taken, wrote, ended) =
                self.reader
                    .read_record(feed, &mut self.out[bytes..], &mut self.ends[fields..]);
            if !at_end {
                self.line += chunk[..taken].iter().filter(|b| **b == b'\n').count() as u64;
                self.input.consume(taken);
            }
            bytes += wrote;
            fields += ended;
            match result {
                ReadRecordResult::InputEmpty if at_end => return Ok(End::OpenQuote),
                ReadRecordResult::InputEmpty => {}
                ReadRecordResult::OutputFull if self.out.len() < MAX_RECORD => {
                    self.out.resize(self.out.len() * 2, 0);
                }
                ReadRecordResult::OutputEndsFull if self.ends.len() < MAX_RECORD / 8 => {
                    self.ends.resize(self.ends.len() * 2, 0);
                }
                // Too long to keep: read over it from the start of the buffers.
                ReadRecordResult::OutputFull => (bytes, too_long) = (0, true),
                ReadRecordResult::OutputEndsFull => (fields, too_long) = (0, true),
                ReadRecordResult::Record | ReadRecordResult::End if too_long => {
                    return Ok(End::TooLong);
                }
                ReadRecordResult::Record | ReadRecordResult::End => {
                    return Ok(End::Record { bytes, fields });
                }
            }
        }
    }

    fn fields(&self, bytes: usize, fields: usize) -> Vec<Vec<u8>> {
        let mut start = 0;
        let cut = |end: &usize| {
            let end = (*end).min(bytes);
            let field = self.out[start..end].to_vec();
            start = end;
            field
        };
        self.ends[..fields].iter().map(cut).collect()
    }
}

impl Iterator for CsvRecords {
    type Item = Result<Record, Broken>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.skip_blank() {
            Ok(true) => {}
            Ok(false) => return None,
            Err(error) => return Some(Err(Broken::io(self.line, &error))),
        }
        let line = self.line;
        Some(match self.read() {
            Ok(End::Record { bytes, fields }) => Ok(Record {
                line,
                body: Body::Fields(self.fields(bytes, fields)),
            }),
            Ok(End::TooLong) => Err(Broken::too_long(line)),
            Ok(End::OpenQuote) => {
                let what = "a quote is opened in this row and never closed: \
                            close it, and double the quotes inside";
                Err(Broken::fatal(line, Problem::row(what)))
            }
            Err(error) => Err(Broken::io(line, &error)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn records(text: &[u8]) -> Vec<Result<(u64, Vec<String>), String>> {
        let input = Box::new(io::Cursor::new(text.to_vec())) as Box<dyn io::Read + Send>;
        // A tiny buffer makes every record cross a boundary.
        let input = io::BufReader::with_capacity(3, input);
        let show = |record: Result<Record, Broken>| match record {
            Ok(Record {
                line,
                body: Body::Fields(fields),
            }) => {
                let text = |f: Vec<u8>| String::from_utf8(f).unwrap();
                Ok((line, fields.into_iter().map(text).collect()))
            }
            Ok(other) => panic!("no fields: {other:?}"),
            Err(broken) => Err(format!("{}: {}", broken.line, broken.problem)),
        };
        CsvRecords::new(input).map(show).collect()
    }

    #[test]
    fn lines_are_where_records_start() {
        let text = b"\na,\"b\r\nc\"\r\n\r\n\"say \"\"hi\"\"\",\r\nlast,\"x,y\"";
        let want = [
            (2, vec!["a", "b\r\nc"]),
            (5, vec!["say \"hi\"", ""]),
            (6, vec!["last", "x,y"]),
        ];
        let got: Vec<_> = records(text).into_iter().map(Result::unwrap).collect();
        let want: Vec<(u64, Vec<String>)> = want
            .into_iter()
            .map(|(line, fields)| (line, fields.into_iter().map(str::to_owned).collect()))
            .collect();
        assert_eq!(got, want);
    }

    #[test]
    fn an_open_quote_is_fatal_where_it_starts() {
        let got = records(b"a,b\nc,\"d\ne,f\n");
        assert!(got[0].is_ok());
        insta::assert_snapshot!(got[1].as_ref().unwrap_err(), @"2: a quote is opened in this row and never closed: close it, and double the quotes inside");
        assert_eq!(got.len(), 2);
    }

    proptest! {
        #[test]
        fn what_is_quoted_comes_back(rows in prop::collection::vec(
            prop::collection::vec("[a-c,\"\r\n é]{0,6}", 1..5), 1..6)) {
            let quote = |f: &String| format!("\"{}\"", f.replace('"', "\"\""));
            let mut text = String::new();
            let mut lines = Vec::new();
            for row in &rows {
                lines.push(1 + text.matches('\n').count() as u64);
                text += &row.iter().map(quote).collect::<Vec<_>>().join(",");
                text += "\r\n";
            }
            let got: Vec<_> = records(text.as_bytes()).into_iter().map(Result::unwrap).collect();
            let want: Vec<_> = lines.into_iter().zip(rows).collect();
            prop_assert_eq!(got, want);
        }
    }
}
