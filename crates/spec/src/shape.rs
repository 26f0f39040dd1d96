//! The structural check: every key known, every value of its type and within its bounds, nothing
//! required missing. It returns the sound part of the spec as JSON; what was unsound is replaced by a
//! placeholder, so that the later checks can look at all the rest.

use crate::{
    hint::{Unknown, misplaced, no_section, unknown},
    keys::{self, Kind, Slot},
    report::{Report, Show},
    tree::{Node, Value},
    value::{name, placeholder, value},
};
use serde_json::{Map, Value as Json, json};

/// Checks a whole document against the table of keys.
pub(crate) fn check(tree: &Node, report: &mut Report<'_>) -> Json {
    let mut shape = Shape {
        report,
        meant: Vec::new(),
    };
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
    for meant in shape.meant.clone() {
        shape.report.taint(&meant);
    }
    if tree.get("run").is_none() && !shape.report.is_tainted("run") {
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
    /// Keys that misspelt ones seem to mean: they are not missing as well.
    meant: Vec<String>,
}

impl Shape<'_, '_> {
    fn table(&mut self, node: &Node, pattern: &str, path: &str) -> Map<String, Json> {
        let mut sound = Map::new();
        let Value::Table(entries) = &node.value else {
            // Under [models] it might be a key that was pasted there.
            let show = match pattern {
                "models.*" => Show::KeyOnly,
                _ => Show::Value,
            };
            let message = no_section(&node.value, pattern, path);
            self.report.structural(path, show, message);
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
                let Unknown { message, meant } = unknown(parent, key, kind);
                self.report.structural(path, Show::KeyOnly, message);
                // What is meant is not missing too, and what it would say is not known.
                let above = path.strip_suffix(key).unwrap_or_default();
                self.meant
                    .extend(meant.map(|meant| format!("{above}{meant}")));
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
        match value(&node.value, kind, path.rsplit('.').next().unwrap_or(path)) {
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
            let place = join(path, name);
            if node.get(name).is_none() && !self.meant.contains(&place) {
                let message = match key.kind {
                    Kind::Word(words) => format!("missing: one of {}", words.join(", ")),
                    _ => format!("missing: {}", key.doc),
                };
                self.report.structural(&place, Show::KeyOnly, message);
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
