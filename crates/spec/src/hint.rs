//! What people are told who write a key that does not belong where it stands.

use crate::{keys, tree::Value, value::name};

/// Why a known key does not fit its neighbouring `kind`.
pub(crate) fn misplaced(parent: &str, only: &[&str], kind: Option<&str>) -> Option<String> {
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

/// What to say where a section should stand and something else does.
pub(crate) fn no_section(found: &Value, pattern: &str, path: &str) -> String {
    let kind = match found {
        Value::Text(text) => all_kinds(pattern).iter().find(|kind| **kind == text),
        _ => None,
    };
    let found = name(found);
    let key = path.rsplit('.').next().unwrap_or(path);
    match (pattern, kind) {
        // `[models]` with the keys of one model directly in it.
        ("models.*", _) if keys::slot(&format!("models.*.{key}")).is_known() => {
            "is not for [models] itself: each model has a section, so write [models.target] above it"
                .to_owned()
        }
        ("datasets[].grader", Some(kind)) => {
            format!("is {found}: write {key} = {{ kind = \"{kind}\" }}")
        }
        ("datasets[].grader", None) => {
            let kinds = keys::GRADER_KINDS.join(", ");
            format!("is {found}: write {key} = {{ kind = \"…\" }} (one of {kinds})")
        }
        ("datasets[].fields", _) => {
            format!("is {found}: write {key} = {{ input = \"…\", reference = \"…\" }}")
        }
        _ => format!(
            "is {found}, and this is a section with keys of its own: write [{path}] on a line, its keys below"
        ),
    }
}

/// What the parser says of a text that is not TOML, in words for people who have never seen TOML. The line itself is
/// not shown: there may be a secret in it.
pub(crate) fn not_toml(said: &str, text: &str, line: usize) -> String {
    let curly = |l: &str| l.contains(['“', '”', '„', '‘', '’']);
    let here = text.lines().nth(line - 1).unwrap_or_default();
    if !text.lines().any(|l| l.trim_start().starts_with('[')) {
        return format!(
            "{}: `promptimal spec` prints a spec to start from",
            said.lines().collect::<Vec<_>>().join(", ")
        );
    }
    let said = said.lines().collect::<Vec<_>>().join(", ");
    match said.as_str() {
        _ if curly(here) => {
            "the quotes on this line are typographic ones: type straight ones, \"".to_owned()
        }
        "duplicate key" => {
            "the key or section of this line stands further up already: each once".to_owned()
        }
        s if s.starts_with("string values must be quoted") => {
            "text stands in quotes: name = \"…\"".to_owned()
        }
        s if s.starts_with("invalid basic string") => {
            "a text in quotes does not end on its line, or holds a \\ that is not doubled"
                .to_owned()
        }
        _ => said,
    }
}

/// What is said of an unknown key.
pub(crate) struct Unknown {
    pub(crate) message: String,
    /// The neighbouring key that seems to be meant.
    pub(crate) meant: Option<&'static str>,
}

/// What to say of a key that nobody knows here.
pub(crate) fn unknown(parent: &str, key: &str, kind: Option<&str>) -> Unknown {
    if ["api_key", "key", "token"].contains(&key) {
        let message = "a secret does not belong in a spec: name the environment variable that holds \
                       it (api_key_env) or a file (api_key_file)";
        return Unknown {
            message: message.to_owned(),
            meant: None,
        };
    }
    let fits = |only: &[&str]| only.is_empty() || kind.is_none_or(|k| only.contains(&k));
    let known = keys::children(parent).into_iter();
    let names: Vec<&str> = known
        .filter(|(_, only)| fits(only))
        .map(|(name, _)| name)
        .collect();
    let meant = nearest(key, names.iter().copied());
    let guess = meant.map(str::to_owned).or_else(|| elsewhere(key));
    let hint = guess
        .map(|g| format!(", did you mean {g}?"))
        .unwrap_or_default();
    let message = format!("unknown key{hint} (known here: {})", names.join(", "));
    Unknown { message, meant }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_similar_is_suggested() {
        let names = ["rounds", "repeats", "rewrites"];
        assert_eq!(nearest("ronuds", names.into_iter()), Some("rounds"));
        assert_eq!(nearest("Repeats", names.into_iter()), Some("repeats"));
        assert_eq!(nearest("temperature", names.into_iter()), None);
    }

    #[test]
    fn a_key_of_another_kind_says_which() {
        let said = misplaced("models.*", &["http"], Some("local"));
        assert_eq!(
            said.as_deref(),
            Some("is for kind = \"http\", and this one is \"local\"")
        );
        assert_eq!(misplaced("models.*", &["http"], Some("http")), None);
        assert_eq!(misplaced("models.*", &["http"], Some("htp")), None);
    }
}
