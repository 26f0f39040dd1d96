//! A record to an example, one file a format.

mod alpaca;
mod bbh;
mod classification;
mod fields;
mod gsm8k;
mod humaneval;
mod mapped;
mod mmlu;

use crate::error::Problem;
use crate::files::subject_and_part;
use crate::input::Input;
use crate::records::{Body, Broken, CsvRecords, Elements, Lines, Record, Records};
use crate::source::{FieldMap, Format, Source};
use domain::example::Example;
use fields::Object;
use mapped::Header;
use serde_json::{Map, Value};
use std::path::Path;

/// The names of a CSV file's columns.
pub(crate) fn columns(input: Input) -> Result<Vec<String>, Broken> {
    Header::names(&mut CsvRecords::new(input)).map(|(_, names)| names)
}

/// The records of a CSV file below its header.
pub(crate) fn csv_rows(input: Input) -> Result<(Records, Fields), Broken> {
    let mut records = CsvRecords::new(input);
    let header = Header::any(&mut records)?;
    Ok((Records::Csv(Box::new(records)), Fields::Csv(header)))
}

/// How the fields of a record are named.
pub(crate) enum Fields {
    /// As its JSON does.
    Json,
    /// As the header does.
    Csv(Header),
}

impl Fields {
    /// A record as an object; none where it is not one.
    pub(crate) fn object(&self, record: Record) -> Option<Map<String, Value>> {
        let object = match (self, record.body) {
            (Fields::Json, Body::Bytes(bytes)) => Object::read(bytes, record.line),
            (Fields::Csv(header), Body::Fields(fields)) => {
                fields::texts(fields).and_then(|texts| header.object(texts))
            }
            _ => return None,
        };
        object.ok().map(|object| object.0)
    }
}

/// Understands the records of one file.
pub(crate) struct Parser {
    rule: Rule,
    group: Option<String>,
}

/// What a record must be.
enum Rule {
    Mmlu,
    Alpaca,
    Humaneval,
    Gsm8k,
    Bbh,
    Classification(Vec<String>),
    Jsonl(FieldMap),
    Csv(FieldMap, Header),
}

impl Parser {
    /// Cuts a file into records as its format wants it, and says how they are understood.
    pub(crate) fn open(
        source: &Source,
        path: &Path,
        input: Input,
    ) -> Result<(Records, Self), Broken> {
        let fields = || source.fields.clone().unwrap_or_default();
        let (records, rule) = match source.format {
            Format::Mmlu => (Records::Csv(Box::new(CsvRecords::new(input))), Rule::Mmlu),
            Format::Alpaca => (Records::json(input)?, Rule::Alpaca),
            Format::Humaneval => (Records::json(input)?, Rule::Humaneval),
            Format::Gsm8k => (Records::json(input)?, Rule::Gsm8k),
            Format::Bbh => (bbh_records(input)?, Rule::Bbh),
            Format::Classification => (
                Records::Lines(Lines::new(input, 1)),
                Rule::Classification(source.labels.clone()),
            ),
            Format::Jsonl => (Records::json(input)?, Rule::Jsonl(fields())),
            Format::Csv => {
                let mut records = CsvRecords::new(input);
                let header = Header::read(&mut records, &fields())?;
                (Records::Csv(Box::new(records)), Rule::Csv(fields(), header))
            }
        };
        let named = matches!(source.format, Format::Mmlu | Format::Bbh);
        let file_name = path
            .file_name()
            .map(|name| name.to_string_lossy().into_owned());
        let group = file_name
            .filter(|_| named)
            .map(|name| subject_and_part(&name).0.to_owned());
        Ok((records, Self { rule, group }))
    }

    /// The example that a record holds.
    pub(crate) fn parse(&self, record: Record) -> Result<Example, Problem> {
        let line = record.line;
        let mut example = match (&self.rule, record.body) {
            (Rule::Mmlu, Body::Fields(fields)) => mmlu::parse(&fields::texts(fields)?),
            (Rule::Csv(map, header), Body::Fields(fields)) => {
                mapped::parse(&header.object(fields::texts(fields)?)?, map)
            }
            (Rule::Classification(labels), Body::Bytes(bytes)) => {
                classification::parse(&fields::text(bytes)?, labels)
            }
            (rule, Body::Bytes(bytes)) => rule.parse_json(&Object::read(bytes, line)?),
            (_, Body::Fields(_)) => Err(Problem::row("expected a JSON object, found CSV")),
        }?;
        if example.group.is_none() {
            example.group.clone_from(&self.group);
        }
        Ok(example)
    }
}

impl Rule {
    fn parse_json(&self, object: &Object) -> Result<Example, Problem> {
        match self {
            Rule::Alpaca => alpaca::parse(object),
            Rule::Humaneval => humaneval::parse(object),
            Rule::Gsm8k => gsm8k::parse(object),
            Rule::Bbh => bbh::parse(object),
            Rule::Jsonl(map) => mapped::parse(object, map),
            Rule::Mmlu | Rule::Csv(..) | Rule::Classification(_) => {
                Err(Problem::row("expected text, found JSON"))
            }
        }
    }
}

/// The elements of `examples`, or of a bare array of them.
fn bbh_records(input: Input) -> Result<Records, Broken> {
    let mut elements = Elements::new(input);
    match elements.peek().map_err(|e| Broken::io(1, &e))? {
        Some(b'[') => elements.enter_array()?,
        _ => elements.enter_key("examples")?,
    }
    Ok(Records::Json(elements))
}
