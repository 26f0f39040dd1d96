//! The structural check: every key known, every value of its type and within its bounds, nothing
//! required missing. It returns the sound part of the spec as JSON; what was unsound is replaced by a
//! placeholder, so that the later checks can look at all the rest.

use crate::{
    keys::{self, Kind, Slot},
    report::{Report, Show},
    tree::{Node, Value},
};
use serde_json::{Map, Value as Json, json};

/// Checks a whole document against the table of keys.
pub(crate) fn check(tree: &Node, report: &mut Report<'_>) -> Json {
    let mut shape = Shape { report };
    let mut spec = shape.table(tree, "", "");
    for (section, empty) in [
        ("run", json!({})),
        ("datasets", json!([])),
        ("models", json!({})),
    ] {
        if !spec.contains_key(section) {
            spec.insert(section.to_owned(), empty);
        }
    }
    if tree.get("run").is_none() {
        shape
            .report
            .structural("run.name", Show::KeyOnly, "missing: give the run a name");
    }
    if let Some(Json::Object(run)) = spec.get_mut("run") {
        run.entry("name").or_insert_with(|| json!("?"));
    }
    Json::Object(spec)
}

struct Shape<'r, 't> {
    report: &'r mut Report<'t>,
}

impl Shape<'_, '_> {
    fn table(&mut self, node: &Node, pattern: &str, path: &str) -> Map<String, Json> {
        let mut sound = Map::new();
        let Value::Table(entries) = &node.value else {
            let found = name(&node.value);
            self.wrong(
                path,
                format!("is {found}: this is a section with keys of its own"),
            );
            return sound;
        };
        let kind = node.text("kind");
        for (key, value) in entries {
            let place = join(path, key);
            if let Some(json) = self.entry(value, (pattern, key), kind, &place) {
                sound.insert(key.clone(), json);
            }
        }
        self.require(node, pattern, path, &mut sound);
        sound
    }

    /// One entry of a table; `None` where it is left out of the sound part.
    fn entry(
        &mut self,
        value: &Node,
        (parent, key): (&str, &str),
        kind: Option<&str>,
        path: &str,
    ) -> Option<Json> {
        let mut pattern = join(parent, key);
        if let Slot::Table = keys::slot(&join(parent, "*")) {
            pattern = join(parent, "*");
            if !plain(key) {
                self.wrong(path, "a model's name has letters, digits, _ and - only");
                return None;
            }
        }
        let known = keys::children(parent)
            .into_iter()
            .find(|(name, _)| *name == key);
        if let Some((_, only)) = known
            && let Some(message) = misplaced(parent, only, kind)
        {
            self.report.structural(path, Show::KeyOnly, message);
            return None;
        }
        match keys::slot(&pattern) {
            Slot::Leaf(known) => self.leaf(value, known.kind, path),
            Slot::Table => {
                let table = self.table(value, &pattern, path);
                usable(&pattern, &table).then_some(Json::Object(table))
            }
            Slot::Tables => Some(self.tables(value, &pattern, path)),
            Slot::Unknown => {
                let message = unknown(parent, key, kind);
                self.report.structural(path, Show::KeyOnly, message);
                None
            }
        }
    }

    fn tables(&mut self, node: &Node, pattern: &str, path: &str) -> Json {
        let Value::List(items) = &node.value else {
            let found = name(&node.value);
            self.wrong(path, format!("is {found}: write [[{path}]], once for each"));
            return json!([]);
        };
        let pattern = format!("{pattern}[]");
        let table = |(i, item): (usize, &Node)| {
            Json::Object(self.table(item, &pattern, &format!("{path}[{i}]")))
        };
        Json::Array(items.iter().enumerate().map(table).collect())
    }

    fn leaf(&mut self, node: &Node, kind: Kind, path: &str) -> Option<Json> {
        match value(&node.value, kind) {
            Ok(json) => Some(json),
            Err(message) => {
                self.wrong(path, message);
                None
            }
        }
    }

    /// Reports what is required and missing, and puts placeholders where a value is missing or wrong.
    fn require(&mut self, node: &Node, pattern: &str, path: &str, sound: &mut Map<String, Json>) {
        // The proposer without a kind is the target with other sampling.
        if path == "models.proposer" && node.get("kind").is_none() {
            if !usable(pattern, sound) {
                let message = "missing: without it, only sampling may be given, and all else is the \
                               target's";
                self.report
                    .structural(&join(path, "kind"), Show::KeyOnly, message);
            }
            return;
        }
        for (name, key) in keys::required(pattern, node.text("kind")) {
            if node.get(name).is_none() {
                let message = format!("missing: {}", key.doc);
                self.report
                    .structural(&join(path, name), Show::KeyOnly, message);
            }
            // Without a sound kind, the whole table is left out instead: see `usable`.
            if name != "kind" && !sound.contains_key(name) {
                sound.insert(name.to_owned(), placeholder(key.kind));
            }
        }
    }

    fn wrong(&mut self, path: &str, message: impl Into<String>) {
        self.report.structural(path, Show::Value, message);
    }
}

fn join(path: &str, key: &str) -> String {
    match path {
        "" => key.to_owned(),
        _ => format!("{path}.{key}"),
    }
}

fn plain(name: &str) -> bool {
    !name.is_empty()
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-')
}

/// A table whose `kind` is missing or wrong cannot become a type; it is left out.
fn usable(pattern: &str, table: &Map<String, Json>) -> bool {
    let has_kind = keys::children(pattern)
        .iter()
        .any(|(name, _)| *name == "kind");
    let proposer = pattern == "models.*" && table.keys().all(|key| key == "sampling");
    !has_kind || table.contains_key("kind") || proposer
}

/// Why a known key does not fit its neighbouring `kind`.
fn misplaced(parent: &str, only: &[&str], kind: Option<&str>) -> Option<String> {
    let kinds = keys::children(parent)
        .into_iter()
        .any(|(name, _)| name == "kind");
    if only.is_empty() || !kinds {
        return None;
    }
    let quoted = |words: &[&str]| words.iter().map(|w| format!("\"{w}\"")).collect::<Vec<_>>();
    let wanted = quoted(only).join(" or ");
    match kind {
        Some(kind) if only.contains(&kind) => None,
        // A wrong kind is a problem of its own.
        Some(kind) if !all_kinds(parent).contains(&kind) => None,
        Some(kind) => Some(format!(
            "is for kind = {wanted}, and this one is \"{kind}\""
        )),
        // Reported as a missing kind; only the proposer may do without.
        None => None,
    }
}

fn all_kinds(parent: &str) -> &'static [&'static str] {
    match parent {
        "models.*" => keys::MODEL_KINDS,
        _ => keys::GRADER_KINDS,
    }
}

fn unknown(parent: &str, key: &str, kind: Option<&str>) -> String {
    if key == "api_key" || key == "key" || key == "token" {
        return "a secret does not belong in a spec: name the environment variable that holds it \
                (api_key_env) or a file (api_key_file)"
            .to_owned();
    }
    let fits = |only: &[&str]| only.is_empty() || kind.is_none_or(|k| only.contains(&k));
    let names: Vec<&str> = keys::children(parent)
        .into_iter()
        .filter(|(_, only)| fits(only))
        .map(|(name, _)| name)
        .collect();
    let guess = nearest(key, names.iter().copied())
        .map(str::to_owned)
        .or_else(|| elsewhere(key));
    let hint = guess
        .map(|g| format!(", did you mean {g}?"))
        .unwrap_or_default();
    format!("unknown key{hint} (known here: {})", names.join(", "))
}

/// Where else a key of this name exists.
fn elsewhere(key: &str) -> Option<String> {
    let last = |path: &str| path.rsplit('.').next() == Some(key);
    keys::KEYS
        .iter()
        .find(|k| last(k.path))
        .map(|k| k.path.to_owned())
}

/// The most similar name, if it is similar enough to be meant.
pub(crate) fn nearest<'n>(given: &str, names: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    let lower = given.to_lowercase();
    let close = |name: &'n str| {
        let distance = strsim::damerau_levenshtein(&lower, &name.to_lowercase());
        (distance <= 1 + name.chars().count() / 4).then_some((distance, name))
    };
    names
        .filter_map(close)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

fn name(value: &Value) -> &'static str {
    match value {
        Value::Text(_) => "text",
        Value::Whole(_) => "a whole number",
        Value::Float(_) => "a number",
        Value::Flag(_) => "true or false",
        Value::Other(_, name) => name,
        Value::List(_) => "a list",
        Value::Table(_) => "a table",
    }
}

fn value(value: &Value, kind: Kind) -> Result<Json, String> {
    let wrong_type = |wanted: &str| Err(format!("is {}, and {wanted} is wanted", name(value)));
    match (kind, value) {
        (Kind::Text, Value::Text(text)) => full(text),
        (Kind::Text, _) => wrong_type("text in quotes"),
        (Kind::Word(words), Value::Text(word)) => one_of(word, words),
        (Kind::Word(words), _) => wrong_type(&format!("one of {}", words.join(", "))),
        (Kind::Flag, Value::Flag(flag)) => Ok(json!(flag)),
        (Kind::Flag, _) => wrong_type("true or false"),
        (Kind::Count(low, high), Value::Whole(n)) => count(*n, low, high),
        (Kind::Count(..), _) => wrong_type("a whole number"),
        (Kind::Number(low, high), Value::Whole(_) | Value::Float(_)) => {
            number(as_float(value), low, high, false)
        }
        (Kind::Positive(high), Value::Whole(_) | Value::Float(_)) => {
            number(as_float(value), 0.0, high, true)
        }
        (Kind::Number(..) | Kind::Positive(_), _) => wrong_type("a number"),
        (Kind::TextOrTexts, Value::Text(text)) => full(text).map(|text| json!([text])),
        (Kind::Texts | Kind::TextOrTexts, Value::List(items)) => texts(items),
        (Kind::Texts | Kind::TextOrTexts, _) => wrong_type("a list of texts"),
    }
}

fn full(text: &str) -> Result<Json, String> {
    match text.trim() {
        "" => Err("is empty".to_owned()),
        _ => Ok(json!(text)),
    }
}

fn texts(items: &[Node]) -> Result<Json, String> {
    let text = |(i, item): (usize, &Node)| match &item.value {
        // A stop text may well be a line break.
        Value::Text(text) if !text.is_empty() => Ok(json!(text)),
        Value::Text(_) => Err(format!("its element {i} is empty")),
        other => Err(format!(
            "its element {i} is {}, and text in quotes is wanted",
            name(other)
        )),
    };
    items
        .iter()
        .enumerate()
        .map(text)
        .collect::<Result<_, _>>()
        .map(Json::Array)
}

fn one_of(word: &str, words: &[&str]) -> Result<Json, String> {
    if words.contains(&word) {
        return Ok(json!(word));
    }
    let guess = nearest(word, words.iter().copied());
    let hint = guess
        .map(|g| format!(", did you mean \"{g}\"?"))
        .unwrap_or_default();
    Err(format!("unknown value{hint} (one of {})", words.join(", ")))
}

fn count(n: i64, low: i64, high: i64) -> Result<Json, String> {
    match n {
        _ if n < low => Err(format!("is too small: at least {low}")),
        _ if n > high => Err(format!("is too large: at most {high}")),
        _ => Ok(json!(n)),
    }
}

fn as_float(value: &Value) -> f64 {
    match value {
        Value::Whole(n) => *n as f64,
        Value::Float(x) => *x,
        _ => f64::NAN,
    }
}

fn number(x: f64, low: f64, high: f64, open: bool) -> Result<Json, String> {
    let fits = x.is_finite() && x <= high && if open { x > low } else { x >= low };
    match (fits, open) {
        (true, _) => Ok(json!(x)),
        (false, true) => Err(format!("is out of range: above {low}, at most {high}")),
        (false, false) => Err(format!("is out of range: {low} to {high}")),
    }
}

fn placeholder(kind: Kind) -> Json {
    match kind {
        Kind::Text => json!("?"),
        Kind::Word(words) => json!(words.first()),
        Kind::Flag => json!(false),
        Kind::Count(low, _) => json!(low),
        Kind::Number(low, _) => json!(low),
        Kind::Positive(high) => json!(high),
        Kind::Texts | Kind::TextOrTexts => json!([]),
    }
}
