//! Messages as the broker carries them.

use lapin::BasicProperties;
use lapin::types::{AMQPValue, FieldTable, ShortString};

use super::topology::Topology;
use crate::{DELIVERY_LIMIT, DeadLetter, Headers, Lane, MAX_BODY, Message};

/// The longest name the protocol knows.
pub(super) const MAX_NAME: usize = 255;

/// What AMQP calls a message that survives a restart.
const PERSISTENT: u8 = 2;

/// The properties of a message, or what is wrong with it.
pub(super) fn properties(message: &Message, persistent: bool) -> Result<BasicProperties, String> {
    let Message { id, headers, body } = message;
    if body.len() > MAX_BODY {
        return Err(format!(
            "message `{id}` has {} bytes, over the limit of {MAX_BODY}: send less at a time",
            body.len()
        ));
    }
    let mut table = FieldTable::default();
    for (name, value) in headers {
        let name = short(name).ok_or_else(|| {
            format!("message `{id}` has a header name of more than {MAX_NAME} bytes")
        })?;
        table.insert(name, AMQPValue::LongString(value.as_str().into()));
    }
    let id = short(id)
        .ok_or_else(|| format!("message id `{id:.64}…` has more than {MAX_NAME} bytes"))?;
    let properties = BasicProperties::default()
        .with_message_id(id)
        .with_headers(table);
    Ok(if persistent {
        properties.with_delivery_mode(PERSISTENT)
    } else {
        properties
    })
}

fn short(text: &str) -> Option<ShortString> {
    ShortString::try_new(text).ok()
}

/// The message of a delivery. What is no text in its headers is not ours.
pub(super) fn message(
    lane: Lane,
    topology: &Topology,
    delivery: lapin::message::Delivery,
) -> Message {
    let properties = &delivery.properties;
    let id = properties.message_id().as_ref();
    let table = properties.headers().as_ref();
    let mut headers: Headers = table
        .into_iter()
        .flat_map(FieldTable::inner)
        .filter_map(|(name, value)| Some((name.to_string(), text(value)?)))
        .collect();
    if let (Lane::Dead, Some(death)) = (lane, table.and_then(last_death)) {
        let from = topology.lane_of(&death.queue);
        let from = from.map_or(death.queue.as_str(), |lane| lane.name());
        // The broker's own account; a rejection of ours has none, because we moved it ourselves.
        DeadLetter::mark(&mut headers, from, &death.reason);
    }
    Message {
        id: id.map(ToString::to_string).unwrap_or_default(),
        headers,
        body: delivery.data.into(),
    }
}

fn text(value: &AMQPValue) -> Option<String> {
    match value {
        AMQPValue::LongString(text) => String::from_utf8(text.as_bytes().to_vec()).ok(),
        AMQPValue::ShortString(text) => Some(text.to_string()),
        _ => None,
    }
}

/// Why and where the broker let a message die.
struct Death {
    queue: String,
    reason: String,
}

fn last_death(headers: &FieldTable) -> Option<Death> {
    let Some(AMQPValue::FieldArray(deaths)) = headers.inner().get("x-death") else {
        return None;
    };
    let Some(AMQPValue::FieldTable(death)) = deaths.as_slice().first() else {
        return None;
    };
    let field = |name: &str| death.inner().get(name).and_then(text);
    let reason = match field("reason")?.as_str() {
        "delivery_limit" => DELIVERY_LIMIT.to_owned(),
        other => format!("the broker gave it up: {other}"),
    };
    Some(Death {
        queue: field("queue")?,
        reason,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message_with(id: String, header: String, size: usize) -> Message {
        Message {
            id,
            headers: [(header, "value".to_owned())].into(),
            body: vec![0; size].into(),
        }
    }

    fn refused(message: &Message) -> String {
        properties(message, true).unwrap_err()
    }

    #[test]
    fn what_the_protocol_cannot_carry_is_refused_before_it_is_sent() {
        let fits = message_with("x".repeat(255), "y".repeat(255), MAX_BODY);
        assert!(properties(&fits, true).is_ok());
        let large = message_with("a:1".to_owned(), "h".to_owned(), MAX_BODY + 1);
        assert_eq!(
            refused(&large),
            "message `a:1` has 262145 bytes, over the limit of 262144: send less at a time"
        );
        let long = message_with("ż".repeat(200), "h".to_owned(), 1);
        assert!(refused(&long).ends_with("has more than 255 bytes"));
        let header = message_with("a:1".to_owned(), "h".repeat(256), 1);
        assert!(refused(&header).contains("header name"));
    }
}
