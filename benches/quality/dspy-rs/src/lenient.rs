//! How the proposer is asked: in dspy-rs's own words and headings, but read even where the reply lacks the headings.
//!
//! A model of this size often leaves them out, and dspy-rs would go on with an empty instruction.

use crate::{gateway::Gateway, turns::text};
use anyhow::Result;
use dspy_rs::{
    Chat, ChatAdapter, Example, LM, LmUsage, Message, MetaSignature, Prediction, adapter::Adapter,
};
use rig::tool::ToolDyn;
use serde_json::{Value, json};
use std::{collections::HashMap, sync::Arc};

pub struct Lenient(pub Gateway);

#[async_trait::async_trait]
impl Adapter for Lenient {
    fn format(&self, signature: &dyn MetaSignature, inputs: Example) -> Chat {
        ChatAdapter.format(signature, inputs)
    }

    /// Without its headings a reply is the text of the last field.
    fn parse_response(
        &self,
        signature: &dyn MetaSignature,
        reply: Message,
    ) -> HashMap<String, Value> {
        let mut read = ChatAdapter.parse_response(signature, reply.clone());
        let last = last_field(signature);
        if text(&read, &last).is_empty() {
            let said = reply.content();
            let before = said.split("[[ ##").next().unwrap_or_default().trim();
            let said = if before.is_empty() { &said } else { before };
            read.insert(last, json!(said));
        }
        read
    }

    async fn call(
        &self,
        lm: Arc<LM>,
        signature: &dyn MetaSignature,
        inputs: Example,
        _: Vec<Arc<dyn ToolDyn>>,
    ) -> Result<Prediction> {
        let chat = self.format(signature, inputs.clone());
        let said = self.0.ask(&lm, &chat).await?;
        let (last, heads) = (last_field(signature), said.contains("[[ ##"));
        println!("  proposer, {last}, with headings: {heads}: {said:?}");
        let mut read = self.parse_response(signature, Message::assistant(said));
        keep_instruction(&last, &inputs, &mut read);
        Ok(Prediction::new(read, LmUsage::default()))
    }
}

/// Where nothing was proposed the instruction stays what it was. GEPA means that too, but looks for the lack of a field in
/// `Prediction::get`, which gives an empty text instead.
fn keep_instruction(last: &str, inputs: &Example, read: &mut HashMap<String, Value>) {
    if last == "improved_instruction" && text(read, last).trim().is_empty() {
        read.insert(last.to_owned(), inputs.get("current_instruction", None));
    }
}

fn last_field(signature: &dyn MetaSignature) -> String {
    let fields = signature.output_fields();
    let last = fields.as_object().and_then(|of| of.keys().next_back());
    last.cloned().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use dspy_rs::Signature;

    #[Signature]
    struct Propose {
        /// Propose.
        #[input]
        pub current_instruction: String,
        #[output]
        pub improved_instruction: String,
    }

    fn read(said: &str) -> String {
        let (signature, lenient) = (Propose::new(), Lenient(Gateway::new().unwrap()));
        let data = HashMap::from([("current_instruction".to_owned(), json!("Judge."))]);
        let inputs = Example::new(data, vec!["current_instruction".to_owned()], vec![]);
        let mut read = lenient.parse_response(&signature, Message::assistant(said));
        keep_instruction("improved_instruction", &inputs, &mut read);
        text(&read, "improved_instruction")
    }

    #[test]
    fn headings_are_heeded_where_they_are() {
        let said = "Well.\n[[ ## improved_instruction ## ]]\nJudge well.\n\n[[ ## completed ## ]]";
        assert_eq!(read(said), "Judge well.");
    }

    #[test]
    fn without_them_the_reply_is_the_field() {
        assert_eq!(read("Judge better.\n"), "Judge better.");
        assert_eq!(
            read("Judge better.\n\n[[ ## completed ## ]]"),
            "Judge better."
        );
    }

    #[test]
    fn where_nothing_is_said_the_instruction_stays() {
        assert_eq!(read(" \n"), "Judge.");
    }
}
