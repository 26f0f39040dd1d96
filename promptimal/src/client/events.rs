//! Server-sent events, as far as a coordinator sends them.

use super::AskError;
use reqwest::Response;

/// A line that is longer is none of a coordinator's.
const LONGEST: usize = 1 << 20;

/// A stream of events.
pub struct Events {
    response: Response,
    text: Text,
}

impl Events {
    /// Reads them from an answer.
    pub fn new(response: Response) -> Self {
        Self {
            response,
            text: Text::default(),
        }
    }

    /// The next event, its name and its data; `None` when the stream ends.
    ///
    /// # Errors
    /// When the connection breaks.
    pub async fn next(&mut self) -> Result<Option<(String, String)>, AskError> {
        loop {
            if let Some(event) = self.text.event() {
                return Ok(Some(event));
            }
            let broken = |e: reqwest::Error| AskError::Away(format!("the stream broke: {e}"));
            match self.response.chunk().await.map_err(broken)? {
                Some(more) if self.text.raw.len() + more.len() <= LONGEST => {
                    self.text.raw.extend_from_slice(&more);
                }
                Some(_) => return Err(AskError::Away("the stream makes no sense".to_owned())),
                None => return Ok(None),
            }
        }
    }
}

/// What has come and was not made an event of.
#[derive(Default)]
struct Text {
    raw: Vec<u8>,
    name: String,
    data: Option<String>,
}

impl Text {
    fn event(&mut self) -> Option<(String, String)> {
        while let Some(end) = self.raw.iter().position(|b| *b == b'\n') {
            let line: Vec<u8> = self.raw.drain(..=end).collect();
            let line = String::from_utf8_lossy(&line);
            let line = line.trim_end_matches(['\r', '\n']);
            if line.is_empty() {
                let name = std::mem::take(&mut self.name);
                if let Some(data) = self.data.take() {
                    return Some((name, data));
                }
                continue;
            }
            let (field, value) = line.split_once(':').unwrap_or((line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match field {
                "event" => self.name = value.to_owned(),
                "data" => match &mut self.data {
                    Some(data) => *data = format!("{data}\n{value}"),
                    none => *none = Some(value.to_owned()),
                },
                // Ids: a coordinator begins with where things stand. Comments: signs of life.
                _ => {}
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_put_together_from_pieces() {
        let mut text = Text::default();
        let mut seen = Vec::new();
        let whole = ": hello\n\nevent: status\nid: 7\ndata: {\"a\":\"ä\"}\n\nevent:ended\r\ndata:1\r\ndata: 2\r\n\r\n";
        for piece in whole.as_bytes().chunks(3) {
            text.raw.extend_from_slice(piece);
            while let Some(event) = text.event() {
                seen.push(event);
            }
        }
        let event = |name: &str, data: &str| (name.to_owned(), data.to_owned());
        assert_eq!(
            seen,
            [event("status", "{\"a\":\"ä\"}"), event("ended", "1\n2")]
        );
    }
}
