//! What the broker says, in words that name the thing and the way out. No password gets in here.

use lapin::{Error, ErrorKind};

use super::config::Url;

/// The broker cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("rabbitmq at {broker}: {message}")]
pub struct AmqpError {
    /// Host and port.
    pub broker: String,
    /// What is wrong, and what to do.
    pub message: String,
}

/// AMQP's reply codes, as far as people meet them.
const ACCESS_REFUSED: u16 = 403;
const PRECONDITION_FAILED: u16 = 406;
const NOT_ALLOWED: u16 = 530;

/// Why no connection came about.
pub(super) fn explain_connection(url: &Url, error: &Error) -> String {
    let (user, vhost) = (url.user(), url.vhost());
    match reply(error) {
        Some((ACCESS_REFUSED, _)) => {
            format!("refuses user `{user}`: correct user or password in the url")
        }
        Some((NOT_ALLOWED, text)) if text.contains("not found") => format!(
            "has no vhost `{vhost}`: create it (rabbitmqctl add_vhost) or correct the end of the url"
        ),
        Some((NOT_ALLOWED, text)) if text.contains("refused") => format!(
            "user `{user}` may not enter vhost `{vhost}`: allow it (rabbitmqctl set_permissions) or correct the url"
        ),
        Some((code, text)) => format!("closed the connection with {code}: {text}"),
        None => match error.kind() {
            ErrorKind::IOError(error) => {
                format!("cannot be reached: {error}: start it, or correct host and port of the url")
            }
            _ => format!("cannot be used: {error}"),
        },
    }
}

/// Why something could not be declared.
pub(super) fn explain_declaration(kind: &str, name: &str, error: &Error) -> String {
    match reply(error) {
        Some((PRECONDITION_FAILED, text)) => format!(
            "{kind} `{name}` exists and is declared otherwise: {text}: delete it, or take another prefix"
        ),
        Some((ACCESS_REFUSED, _)) => format!(
            "{kind} `{name}` may not be declared by this user: allow it (rabbitmqctl set_permissions)"
        ),
        _ => format!("{kind} `{name}` cannot be declared: {error}"),
    }
}

fn reply(error: &Error) -> Option<(u16, &str)> {
    match error.kind() {
        ErrorKind::ProtocolError(error) => Some((error.get_id(), error.get_message().as_str())),
        _ => None,
    }
}
