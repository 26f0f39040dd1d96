//! The fields of a request, taken one by one, so that an error names the field and none is passed over in silence.

use crate::fault::{Answer, Fault};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// Fields that change no answer here.
const HARMLESS: [&str; 8] = [
    "user",
    "metadata",
    "store",
    "service_tier",
    "safety_identifier",
    "prompt_cache_key",
    "prompt_cache_retention",
    "parallel_tool_calls",
];

/// Fields of the API that are not followed, and the values (beside 0, false and nothing) that ask for nothing.
const IDLE: [(&str, &[&str]); 3] = [
    ("response_format", &[r#"{"type":"text"}"#]),
    ("tool_choice", &[r#""none""#, r#""auto""#]),
    ("modalities", &[r#"["text"]"#]),
];

/// What was asked for.
pub struct Fields(Map<String, Value>);

impl Fields {
    /// The fields of an object.
    pub fn new(fields: Map<String, Value>) -> Self {
        Self(fields)
    }

    /// Takes a field; null counts as none.
    pub fn take<T: DeserializeOwned>(&mut self, name: &str) -> Answer<Option<T>> {
        match self.0.remove(name) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => serde_json::from_value(value)
                .map(Some)
                .map_err(|e| Fault::field(name, format!("{name} is not understood: {e}"))),
        }
    }

    /// Takes a field that must be there.
    pub fn need<T: DeserializeOwned>(&mut self, name: &str) -> Answer<T> {
        let missing = || Fault::field(name, format!("{name} is missing"));
        self.take(name)?.ok_or_else(missing)
    }

    /// Refuses what is left and asks for something.
    pub fn end(self) -> Answer<()> {
        let left = self.0.iter();
        let mut left = left.filter(|(name, value)| {
            !HARMLESS.contains(&name.as_str()) && !asks_for_nothing(name, value)
        });
        match left.next() {
            None => Ok(()),
            Some((name, _)) => Err(Fault::field(
                name,
                format!("{name} is not supported here: leave it out"),
            )),
        }
    }
}

fn asks_for_nothing(name: &str, value: &Value) -> bool {
    let idle = IDLE.iter().find(|(idle, _)| *idle == name);
    let idle = idle.is_some_and(|(_, values)| values.contains(&value.to_string().as_str()));
    idle || match value {
        Value::Null | Value::Bool(false) => true,
        Value::Bool(true) => false,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn fields(value: Value) -> Fields {
        match value {
            Value::Object(fields) => Fields::new(fields),
            _ => panic!("no object"),
        }
    }

    #[test]
    fn every_field_is_followed_harmless_or_refused_by_name() {
        let mut asked = fields(json!({
            "n": 2, "seed": null, "user": "u", "logit_bias": {}, "presence_penalty": 0,
            "response_format": {"type": "text"},
        }));
        assert_eq!(asked.take::<u32>("n").unwrap(), Some(2));
        assert_eq!(asked.take::<u32>("seed").unwrap(), None);
        assert!(asked.need::<String>("model").is_err());
        assert!(asked.end().is_ok());
        for (left, name) in [
            (json!({"presence_penalty": 0.5}), "presence_penalty"),
            (json!({"tools": [{"type": "function"}]}), "tools"),
            (
                json!({"response_format": {"type": "json_object"}}),
                "response_format",
            ),
            (json!({"temprature": 1}), "temprature"),
        ] {
            let fault = fields(left).end().unwrap_err().json();
            assert_eq!(fault["error"]["param"], name);
        }
        let fault = fields(json!({"n": "two"})).take::<u32>("n").unwrap_err();
        assert_eq!(fault.json()["error"]["param"], "n");
    }
}
