//! The elements of a JSON array, cut out one at a time by a scanner that only counts brackets and
//! minds strings; `serde_json` reads what it cuts. So an element that is no JSON costs only itself.

use super::{Body, Broken, Lines, MAX_RECORD, Record};
use crate::error::Problem;
use crate::input::Input;
use std::io::{self, BufRead as _, Read as _};

/// The elements of one array in a file.
pub(crate) struct Elements {
    input: Input,
    line: u64,
    ended: bool,
    first: bool,
    at_root: bool,
}

impl Elements {
    pub(crate) fn new(input: Input) -> Self {
        Self {
            input,
            line: 1,
            ended: false,
            first: true,
            at_root: true,
        }
    }

    /// The first byte that is no space, left unread.
    pub(crate) fn peek(&mut self) -> io::Result<Option<u8>> {
        self.skip_space()
    }

    /// What is left, as lines.
    pub(crate) fn into_lines(self) -> Lines {
        Lines::new(self.input, self.line)
    }

    /// Reads on to show what was found instead of what was wanted: only before giving up.
    pub(crate) fn rest_of_line(&mut self) -> String {
        let mut rest = Vec::new();
        // What cannot be read cannot be shown either; the error at hand is the one to report.
        let _ = self.input.by_ref().take(400).read_to_end(&mut rest);
        let line = rest.split(|b| *b == b'\n').next().unwrap_or_default();
        String::from_utf8_lossy(line).trim_end().to_owned()
    }

    /// Steps over the `[` that must come next.
    pub(crate) fn enter_array(&mut self) -> Result<(), Broken> {
        self.expect(b'[', "expected a JSON array here")
    }

    /// Steps into the array under this key of the object that must come next.
    pub(crate) fn enter_key(&mut self, key: &str) -> Result<(), Broken> {
        self.at_root = false;
        self.expect(b'{', "expected a JSON object here")?;
        let mut seen = Vec::new();
        loop {
            let line = self.line;
            let name: Result<String, _> =
                serde_json::from_slice(&self.value()?.unwrap_or_default());
            let name = name.map_err(|_| {
                let has = crate::error::list(&seen, 6);
                let wanted = format!("expected an object with an array `{key}`; it has {has}");
                Broken::fatal(line, Problem::row(wanted))
            })?;
            self.expect(b':', "expected a JSON key and `:` here")?;
            if name == key {
                return self.expect(b'[', &format!("expected an array under `{key}`"));
            }
            self.value()?;
            seen.push(name);
            let _ = self.eat(b',')?;
        }
    }

    fn expect(&mut self, byte: u8, wanted: &str) -> Result<(), Broken> {
        if self.eat(byte)? {
            return Ok(());
        }
        let found = self.rest_of_line();
        let problem = match found.is_empty() {
            true => Problem::row(format!("the file ends here: {wanted}")),
            false => Problem::found(&found, wanted),
        };
        Err(Broken::fatal(self.line, problem))
    }

    /// Reads this byte, after any space, if it comes next.
    fn eat(&mut self, byte: u8) -> Result<bool, Broken> {
        let next = self.skip_space().map_err(|e| Broken::io(self.line, &e))?;
        if next == Some(byte) {
            self.input.consume(1);
        }
        Ok(next == Some(byte))
    }

    fn skip_space(&mut self) -> io::Result<Option<u8>> {
        loop {
            let chunk = self.input.fill_buf()?;
            let Some(&byte) = chunk.first() else {
                return Ok(None);
            };
            if !byte.is_ascii_whitespace() {
                return Ok(Some(byte));
            }
            self.line += u64::from(byte == b'\n');
            self.input.consume(1);
        }
    }

    /// The bytes of the value that comes next; `None` for one too long to keep.
    fn value(&mut self) -> Result<Option<Vec<u8>>, Broken> {
        self.skip_space().map_err(|e| Broken::io(self.line, &e))?;
        let start = self.line;
        let (mut scan, mut bytes, mut seen) = (Scan::default(), Vec::new(), 0);
        loop {
            let chunk = self.input.fill_buf().map_err(|e| Broken::io(start, &e))?;
            if chunk.is_empty() {
                let what = "the file ends inside the row that starts here: it is cut off";
                return Err(Broken::fatal(start, Problem::row(what)));
            }
            let (taken, done) = scan.run(chunk);
            seen += taken;
            if seen <= MAX_RECORD {
                bytes.extend_from_slice(&chunk[..taken]);
            }
            self.line += chunk[..taken].iter().filter(|b| **b == b'\n').count() as u64;
            self.input.consume(taken);
            if done {
                return Ok((seen <= MAX_RECORD).then_some(bytes));
            }
        }
    }

    /// Steps to the next element; `false` at the end of the array.
    fn step(&mut self) -> Result<bool, Broken> {
        let first = std::mem::take(&mut self.first);
        if self.eat(b']')? {
            self.ended = true;
            return self.nothing_after().map(|()| false);
        }
        if !first {
            self.expect(b',', "expected `,` or `]` after an element of the array")?;
            if self.eat(b']')? {
                let what = "expected an element between `,` and `]`";
                return Err(Broken::fatal(self.line, Problem::row(what)));
            }
        }
        Ok(true)
    }

    fn nothing_after(&mut self) -> Result<(), Broken> {
        let after = self.skip_space().map_err(|e| Broken::io(self.line, &e))?;
        if self.at_root && after.is_some() {
            let found = self.rest_of_line();
            let problem = Problem::found(&found, "expected nothing after the array's closing `]`");
            return Err(Broken::fatal(self.line, problem));
        }
        Ok(())
    }

    fn element(&mut self) -> Result<Option<Record>, Broken> {
        if !self.step()? {
            return Ok(None);
        }
        self.skip_space().map_err(|e| Broken::io(self.line, &e))?;
        let line = self.line;
        match self.value()? {
            Some(bytes) => Ok(Some(Record {
                line,
                body: Body::Bytes(bytes),
            })),
            None => Err(Broken::too_long(line)),
        }
    }
}

impl Iterator for Elements {
    type Item = Result<Record, Broken>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let element = self.element();
        self.ended |= matches!(&element, Err(broken) if broken.fatal);
        element.transpose()
    }
}

/// Finds the end of a JSON value in chunks of it.
#[derive(Default)]
struct Scan {
    depth: u64,
    in_string: bool,
    escaped: bool,
    scalar: bool,
}

impl Scan {
    /// How many bytes of the chunk belong to the value, and whether it ends there.
    fn run(&mut self, chunk: &[u8]) -> (usize, bool) {
        for (i, byte) in chunk.iter().enumerate() {
            // A number or a word ends before what comes after it; anything else ends with itself.
            if self.scalar
                && matches!(
                    byte,
                    b',' | b']' | b'}' | b':' | b' ' | b'\n' | b'\r' | b'\t'
                )
            {
                return (i, true);
            }
            if !self.scalar && self.ends_with(*byte) {
                return (i + 1, true);
            }
        }
        (chunk.len(), false)
    }

    fn ends_with(&mut self, byte: u8) -> bool {
        if self.in_string {
            self.in_string = self.escaped || byte != b'"';
            self.escaped = !self.escaped && byte == b'\\';
            return !self.in_string && self.depth == 0;
        }
        match byte {
            b'"' => self.in_string = true,
            b'{' | b'[' => self.depth += 1,
            b'}' | b']' => {
                self.depth = self.depth.saturating_sub(1);
                return self.depth == 0;
            }
            _ => self.scalar = self.depth == 0,
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn elements(text: &str, key: Option<&str>) -> Result<Vec<(u64, String)>, String> {
        let input = Box::new(io::Cursor::new(text.as_bytes().to_vec())) as Box<dyn io::Read + Send>;
        let mut elements = Elements::new(io::BufReader::with_capacity(3, input));
        let show = |b: Broken| format!("{}: {}", b.line, b.problem);
        match key {
            Some(key) => elements.enter_key(key).map_err(show)?,
            None => elements.enter_array().map_err(show)?,
        }
        let text = |record: Record| match record.body {
            Body::Bytes(bytes) => (record.line, String::from_utf8(bytes).unwrap()),
            Body::Fields(fields) => panic!("fields: {fields:?}"),
        };
        elements.map(|e| e.map(text).map_err(show)).collect()
    }

    #[test]
    fn elements_have_the_lines_they_start_at() {
        let text = "[\n {\"a\":\n \"]\\\"}\"}, 12\n, \"x\" ,[1,[2]]]\n";
        let want = [
            (2, "{\"a\":\n \"]\\\"}\"}"),
            (3, "12"),
            (4, "\"x\""),
            (4, "[1,[2]]"),
        ];
        let want: Vec<_> = want.into_iter().map(|(l, t)| (l, t.to_owned())).collect();
        assert_eq!(elements(text, None).unwrap(), want);
        assert_eq!(elements("[ ]", None).unwrap(), []);
    }

    #[test]
    fn an_array_under_a_key_is_found_and_what_follows_ignored() {
        let text =
            "{\"canary\": {\"examples\": [0]}, \"n\": 3, \"examples\": [1, 2], \"more\": [3]}";
        let got = elements(text, Some("examples")).unwrap();
        assert_eq!(got, [(1, "1".to_owned()), (1, "2".to_owned())]);
    }

    #[test]
    fn broken_arrays_say_where_and_what() {
        let error = |text: &str, key| elements(text, key).unwrap_err();
        insta::assert_snapshot!(error("[{\"a\": 1},\n {\"a\": 2", None), @"2: the file ends inside the row that starts here: it is cut off");
        insta::assert_snapshot!(error("[1,\n2", None), @"2: the file ends inside the row that starts here: it is cut off");
        insta::assert_snapshot!(error("[1\n2]", None), @r#"2: found "2]": expected `,` or `]` after an element of the array"#);
        insta::assert_snapshot!(error("[1, 2", None), @"1: the file ends inside the row that starts here: it is cut off");
        insta::assert_snapshot!(error("[1,\n]", None), @"2: expected an element between `,` and `]`");
        insta::assert_snapshot!(error("[1]\n[2]", None), @r#"2: found "[2]": expected nothing after the array's closing `]`"#);
        insta::assert_snapshot!(error("{\"data\": [], \"n\": 1}", Some("examples")), @"1: expected an object with an array `examples`; it has `data`, `n`");
        insta::assert_snapshot!(error("{\"examples\": {}}", Some("examples")), @r#"1: found "{}}": expected an array under `examples`"#);
        insta::assert_snapshot!(error("", Some("examples")), @"1: the file ends here: expected a JSON object here");
    }

    proptest! {
        #[test]
        fn any_array_comes_back(strings in prop::collection::vec("[a\\[\\]{},\"\\\\é\n]{0,8}", 0..6)) {
            let values: Vec<serde_json::Value> =
                strings.iter().map(|s| serde_json::json!({"k": [s, 1.5, null], "e": {}})).collect();
            for text in [serde_json::to_string(&values), serde_json::to_string_pretty(&values)] {
                let got = elements(&text.unwrap(), None).unwrap();
                let got: Vec<serde_json::Value> =
                    got.iter().map(|(_, t)| serde_json::from_str(t).unwrap()).collect();
                prop_assert_eq!(&got, &values);
            }
        }
    }
}
