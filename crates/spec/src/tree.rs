//! A TOML document with the place of everything in it, and `--set key=value` on top.

use crate::{
    hint::not_toml,
    keys::{Kind, Slot, slot},
};
use toml::de::{DeTable, DeValue};

/// Where something was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// In the file, on this line, from 1.
    Line(usize),
    /// On the command line, under this key.
    Set(String),
}

/// A value and its place: the line of its key, or of the header of its table.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) place: Place,
    pub(crate) value: Value,
}

/// A TOML value.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    Text(String),
    Whole(i64),
    Float(f64),
    Flag(bool),
    /// A date or a number out of range: kept as written, allowed nowhere.
    Other(String, &'static str),
    List(Vec<Node>),
    Table(Vec<(String, Node)>),
}

/// A text that is not TOML: the line and what the parser says.
#[derive(Debug)]
pub(crate) struct NotToml {
    pub(crate) line: usize,
    pub(crate) message: String,
}

/// Reads a document.
pub(crate) fn parse(text: &str) -> Result<Node, NotToml> {
    let lines = Lines::new(text);
    let table = DeTable::parse(text).map_err(|e| {
        let line = e.span().map_or(1, |span| lines.at(span.start));
        NotToml {
            line,
            message: not_toml(e.message(), text, line),
        }
    })?;
    let entries = table_entries(table.get_ref(), &|at| Place::Line(lines.at(at)));
    Ok(Node {
        place: Place::Line(1),
        value: Value::Table(entries),
    })
}

/// Byte offsets of line starts.
struct Lines(Vec<usize>);

impl Lines {
    fn new(text: &str) -> Self {
        let after_breaks = text.match_indices('\n').map(|(at, _)| at + 1);
        Self(std::iter::once(0).chain(after_breaks).collect())
    }

    fn at(&self, offset: usize) -> usize {
        self.0.partition_point(|start| *start <= offset).max(1)
    }
}

type Placer<'a> = dyn Fn(usize) -> Place + 'a;

fn table_entries(table: &DeTable<'_>, place: &Placer<'_>) -> Vec<(String, Node)> {
    let mut entries: Vec<(usize, String, Node)> = table
        .iter()
        .map(|(key, value)| {
            let at = key.span().start;
            let value = convert(value.get_ref(), place);
            (
                at,
                key.get_ref().to_string(),
                Node {
                    place: place(at),
                    value,
                },
            )
        })
        .collect();
    // The parser sorts by key; the file's order is the one people know.
    entries.sort_by_key(|(at, _, _)| *at);
    entries
        .into_iter()
        .map(|(_, key, node)| (key, node))
        .collect()
}

fn convert(value: &DeValue<'_>, place: &Placer<'_>) -> Value {
    match value {
        DeValue::String(text) => Value::Text(text.to_string()),
        DeValue::Integer(n) => match i64::from_str_radix(n.as_str(), n.radix()) {
            Ok(whole) => Value::Whole(whole),
            Err(_) => Value::Other(n.as_str().to_owned(), "a number too large to count with"),
        },
        DeValue::Float(x) => match x.as_str().parse() {
            Ok(float) => Value::Float(float),
            Err(_) => Value::Other(x.as_str().to_owned(), "a number that cannot be read"),
        },
        DeValue::Boolean(flag) => Value::Flag(*flag),
        DeValue::Datetime(date) => Value::Other(date.to_string(), "a date"),
        DeValue::Array(items) => Value::List(
            items
                .iter()
                .map(|item| Node {
                    place: place(item.span().start),
                    value: convert(item.get_ref(), place),
                })
                .collect(),
        ),
        DeValue::Table(table) => Value::Table(table_entries(table, place)),
    }
}

impl Node {
    /// The entry of a table.
    pub(crate) fn get(&self, key: &str) -> Option<&Node> {
        match &self.value {
            Value::Table(entries) => entries.iter().find(|(k, _)| k == key).map(|(_, node)| node),
            _ => None,
        }
    }

    /// The text that an entry of a table holds.
    pub(crate) fn text(&self, key: &str) -> Option<&str> {
        match &self.get(key)?.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The node at a path such as `datasets[0].format`, or the deepest one on the way there; and
    /// whether it is the one asked for.
    pub(crate) fn deepest(&self, path: &str) -> (&Node, bool) {
        let mut node = self;
        for segment in segments(path) {
            let next = match segment {
                Segment::Key(key) => node.get(key),
                Segment::Index(i) => match &node.value {
                    Value::List(items) => items.get(i),
                    _ => None,
                },
            };
            match next {
                Some(next) => node = next,
                None => return (node, false),
            }
        }
        (node, true)
    }

    /// Leaves out every entry of a table but one.
    pub(crate) fn keep(&mut self, key: &str) {
        if let Value::Table(entries) = &mut self.value {
            entries.retain(|(k, _)| k == key);
        }
    }

    /// Lays `key=value` over the document. The value is read as TOML where it is TOML and the key
    /// wants more than text, else as text. A data set goes by its index or by its name.
    pub(crate) fn set(&mut self, assignment: &str) -> Result<(), String> {
        let (path, raw) = assignment
            .split_once('=')
            .map(|(path, raw)| (path.trim(), raw.trim()))
            .filter(|(path, _)| !path.is_empty())
            .ok_or("is not key=value: write, say, search.rounds=2")?;
        let place = Place::Set(path.to_owned());
        let mut node = self;
        let mut pattern = String::new();
        for segment in segments(path) {
            node = step(node, segment, &mut pattern, &place)?;
        }
        *node = Node {
            value: set_value(raw, &pattern, &place),
            place,
        };
        Ok(())
    }
}

fn step<'n>(
    node: &'n mut Node,
    segment: Segment<'_>,
    pattern: &mut String,
    place: &Place,
) -> Result<&'n mut Node, String> {
    match (&mut node.value, segment) {
        (Value::List(items), segment) => {
            pattern.push_str("[]");
            element(items, segment)
        }
        (Value::Table(entries), Segment::Key(key)) => {
            let any_name = matches!(slot(&format!("{pattern}.*")), Slot::Table);
            pattern.push_str(if pattern.is_empty() { "" } else { "." });
            pattern.push_str(if any_name { "*" } else { key });
            Ok(entry(entries, key, place))
        }
        (_, Segment::Key(key)) => Err(format!(
            "reaches into {key}, but what is above it is no table"
        )),
        (_, Segment::Index(_)) => Err("has an index where the spec has no list".to_owned()),
    }
}

/// An element by its index or by its name.
fn element<'n>(items: &'n mut [Node], segment: Segment<'_>) -> Result<&'n mut Node, String> {
    let index = match segment {
        Segment::Index(i) => Some(i),
        Segment::Key(name) => match name.parse() {
            Ok(i) => Some(i),
            Err(_) => items
                .iter()
                .position(|item| item.text("name") == Some(name)),
        },
    };
    let names: Vec<&str> = items.iter().filter_map(|item| item.text("name")).collect();
    let known = names.join(", ");
    let none = || format!("names none of the entries ({known}): use a name, or an index from 0");
    index.and_then(|i| items.get_mut(i)).ok_or_else(none)
}

/// The entry of a table; an empty table stands in for one that is not there.
fn entry<'n>(entries: &'n mut Vec<(String, Node)>, key: &str, place: &Place) -> &'n mut Node {
    let at = entries
        .iter()
        .position(|(k, _)| k == key)
        .unwrap_or(entries.len());
    if at == entries.len() {
        let value = Value::Table(Vec::new());
        entries.push((
            key.to_owned(),
            Node {
                place: place.clone(),
                value,
            },
        ));
    }
    &mut entries[at].1
}

fn set_value(raw: &str, pattern: &str, place: &Place) -> Value {
    let text = || Value::Text(raw.to_owned());
    let document = format!("v = {raw}");
    let parsed = match DeTable::parse(&document) {
        Ok(table) if table.get_ref().len() == 1 => {
            table_entries(table.get_ref(), &|_| place.clone()).pop()
        }
        _ => None,
    };
    let wants_text = matches!(
        slot(pattern),
        Slot::Leaf(key) if matches!(key.kind, Kind::Text | Kind::Word(_))
    );
    match parsed {
        Some((
            _,
            Node {
                value: Value::Text(quoted),
                ..
            },
        )) => Value::Text(quoted),
        Some((_, node)) if !wants_text => node.value,
        _ => text(),
    }
}

/// A step of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Segment<'a> {
    Key(&'a str),
    Index(usize),
}

fn segments(path: &str) -> impl Iterator<Item = Segment<'_>> {
    path.split(['.', '['])
        .filter(|part| !part.is_empty())
        .map(|part| match part.strip_suffix(']').map(str::parse) {
            Some(Ok(index)) => Segment::Index(index),
            _ => Segment::Key(part),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "[a]\nx = 1 # one\n\n[[list]]\nname = \"p\"\n[[list]]\nname = \"q\"\ninner = [\n  1,\n  2,\n]\n";

    fn line(path: &str) -> Option<usize> {
        let tree = parse(TEXT).unwrap();
        match tree.deepest(path) {
            (
                Node {
                    place: Place::Line(line),
                    ..
                },
                true,
            ) => Some(*line),
            _ => None,
        }
    }

    #[test]
    fn everything_has_the_line_it_stands_on() {
        let lines = ["a", "a.x", "list[0]", "list[1].name", "list[1].inner[1]"].map(line);
        assert_eq!(lines, [Some(1), Some(2), Some(4), Some(7), Some(10)]);
        assert_eq!(line("list[2]"), None);
    }

    #[test]
    fn a_text_that_is_not_toml_names_its_line() {
        assert_eq!(parse("a = 1\nb = \n").unwrap_err().line, 2);
    }

    #[test]
    fn overrides_replace_or_add_and_know_where_they_are_from() {
        let mut tree = parse(TEXT).unwrap();
        tree.set("list.q.name=r").unwrap();
        tree.set("new.deep.x = [1, 2]").unwrap();
        assert_eq!(tree.deepest("list[1]").0.text("name"), Some("r"));
        let (node, exact) = tree.deepest("new.deep.x[1]");
        assert!(exact && matches!(node.value, Value::Whole(2)));
        assert_eq!(node.place, Place::Set("new.deep.x".to_owned()));
        assert!(tree.set("a.x.y=1").is_err());
        assert!(tree.set("a[0]=1").is_err());
    }

    #[test]
    fn a_value_cannot_smuggle_in_other_keys() {
        let mut tree = parse("").unwrap();
        tree.set("run.name=1\nevil = 2").unwrap();
        assert!(tree.get("evil").is_none());
        assert_eq!(tree.deepest("run").0.text("name"), Some("1\nevil = 2"));
    }
}
