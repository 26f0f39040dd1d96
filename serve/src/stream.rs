//! Texts as they are written, as server-sent events.

use crate::{
    desk::Event,
    fault::{Answer, Fault},
    reply::{Head, Reply, Usage},
};
use axum::response::{
    IntoResponse, Response, Sse,
    sse::{self, KeepAlive},
};
use futures::stream;
use serde_json::Value;
use std::{collections::VecDeque, convert::Infallible};
use tokio::sync::mpsc::UnboundedReceiver;

/// How an event looks in an endpoint's own words: the choices of its pieces.
pub type Shape = Box<dyn FnMut(&Event) -> Answer<Vec<Value>> + Send>;

/// What is streamed.
pub struct Stream {
    pub head: Head,
    /// Pieces that come before anything is written.
    pub first: Vec<Value>,
    pub shape: Shape,
    /// Whether it ends with what it cost.
    pub usage: bool,
    /// Texts for each prompt.
    pub n: usize,
}

/// Where a stream is.
struct State {
    stream: Stream,
    events: UnboundedReceiver<Event>,
    ready: VecDeque<String>,
    cost: Usage,
    over: bool,
}

impl Stream {
    /// Streams the events of a request. Whoever stops reading drops them, and with them the texts.
    pub fn of(mut self, events: UnboundedReceiver<Event>) -> Response {
        let first = std::mem::take(&mut self.first);
        let ready = first
            .into_iter()
            .map(|choice| piece(&self.head, vec![choice], None));
        let state = State {
            ready: ready.collect(),
            stream: self,
            events,
            cost: Usage::default(),
            over: false,
        };
        let events = stream::unfold(state, |mut state| async move {
            let data = state.next().await?;
            Some((Ok::<_, Infallible>(sse::Event::default().data(data)), state))
        });
        Sse::new(events)
            .keep_alive(KeepAlive::default())
            .into_response()
    }
}

impl State {
    async fn next(&mut self) -> Option<String> {
        while self.ready.is_empty() && !self.over {
            match self.events.recv().await {
                Some(event) => self.see(&event),
                None => self.close(),
            }
        }
        self.ready.pop_front()
    }

    fn see(&mut self, event: &Event) {
        let shaped = (self.stream.shape)(event);
        let failed = event.end.as_ref().and_then(|end| end.finish.as_ref().err());
        let fault = match (shaped, failed) {
            (_, Some(problem)) => Fault::failed(problem),
            (Err(fault), None) => fault,
            (Ok(choices), None) => {
                let head = &self.stream.head;
                let pieces = choices
                    .into_iter()
                    .map(|choice| piece(head, vec![choice], None));
                self.ready.extend(pieces);
                if let Some(end) = &event.end {
                    self.cost
                        .add(end, event.choice.is_multiple_of(self.stream.n));
                }
                return;
            }
        };
        // Too late for a status: the error is the last thing that is said.
        self.ready.push_back(fault.json().to_string());
        self.over = true;
    }

    fn close(&mut self) {
        if self.stream.usage {
            let last = piece(&self.stream.head, Vec::new(), Some(self.cost));
            self.ready.push_back(last);
        }
        self.ready.push_back("[DONE]".to_owned());
        self.over = true;
    }
}

fn piece(head: &Head, choices: Vec<Value>, usage: Option<Usage>) -> String {
    serde_json::to_string(&Reply::new(head, choices, usage)).unwrap_or_default()
}
