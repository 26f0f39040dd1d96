//! How the target is asked: as the bench asks it for all methods (`turns` of `cell.py`).
//!
//! The adapter that dspy-rs brings would put instruction and fields into a system's turn under headings, and look for headings
//! in the reply: a model of this size neither follows the one nor repeats the other, and what it was right about was not seen.

use crate::gateway::Gateway;
use anyhow::Result;
use dspy_rs::{Chat, Example, LM, LmUsage, Message, MetaSignature, Prediction, adapter::Adapter};
use rig::tool::ToolDyn;
use serde_json::{Value, json};
use std::{collections::HashMap, sync::Arc};

/// Stands for the input in the messages of a prompt.
pub const INPUT: &str = "⟦input⟧";

pub struct Turns(pub Gateway);

/// A row without its label: so the order of what an example prints is always the same.
pub fn row(text: &str) -> Example {
    let data = HashMap::from([("text".to_owned(), json!(text))]);
    Example::new(data, vec!["text".to_owned()], vec![])
}

/// A field that is text.
pub fn text(data: &HashMap<String, Value>, name: &str) -> String {
    let value = data.get(name).and_then(Value::as_str);
    value.unwrap_or_default().to_owned()
}

#[async_trait::async_trait]
impl Adapter for Turns {
    /// The instruction once, before the first input in the user's turn; demonstrations are earlier turns.
    fn format(&self, signature: &dyn MetaSignature, inputs: Example) -> Chat {
        let mut chat = Chat::new(vec![]);
        let mut before = format!("{}\n\n", signature.instruction());
        for shot in signature.demos() {
            chat.push("user", &(before + &text(&shot.data, "text")));
            chat.push("assistant", &text(&shot.data, "label"));
            before = String::new();
        }
        chat.push("user", &(before + &text(&inputs.data, "text")));
        chat
    }

    /// The whole reply: what it names is for the metric to say.
    fn parse_response(&self, _: &dyn MetaSignature, reply: Message) -> HashMap<String, Value> {
        HashMap::from([("label".to_owned(), json!(reply.content()))])
    }

    async fn call(
        &self,
        lm: Arc<LM>,
        signature: &dyn MetaSignature,
        inputs: Example,
        _: Vec<Arc<dyn ToolDyn>>,
    ) -> Result<Prediction> {
        let said = self.0.ask(&lm, &self.format(signature, inputs)).await?;
        let read = self.parse_response(signature, Message::assistant(said));
        Ok(Prediction::new(read, LmUsage::default()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::program::signature;

    fn sent(shots: Vec<Example>) -> Value {
        let mut signature = signature("Judge.").unwrap();
        signature.set_demos(shots).unwrap();
        let turns = Turns(Gateway::new().unwrap());
        turns.format(&signature, row("so dull")).to_json()
    }

    #[test]
    fn the_instruction_stands_before_the_input() {
        let wanted = json!([{"role": "user", "content": "Judge.\n\nso dull"}]);
        assert_eq!(sent(vec![]), wanted);
    }

    #[test]
    fn it_is_said_once_and_demonstrations_are_earlier_turns() {
        let mut shot = row("fine film");
        shot.data.insert("label".to_owned(), json!("positive"));
        let wanted = json!([
            {"role": "user", "content": "Judge.\n\nfine film"},
            {"role": "assistant", "content": "positive"},
            {"role": "user", "content": "so dull"},
        ]);
        assert_eq!(sent(vec![shot]), wanted);
    }

    #[test]
    fn a_reply_is_kept_whole() {
        let said = "It is [[ ## positive ## ]]\nI think";
        let turns = Turns(Gateway::new().unwrap());
        let read = turns.parse_response(&signature("Judge.").unwrap(), Message::assistant(said));
        assert_eq!(text(&read, "label"), said);
    }
}
