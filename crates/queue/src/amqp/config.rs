//! Where the broker is and how patient we are with it.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use lapin::uri::AMQPUri;

use super::AmqpError;

/// The prefix of everything on the broker, where nobody chose another.
pub const DEFAULT_PREFIX: &str = "promptimal";

/// The longest prefix: what we put behind it fits into the 255 bytes that a name may have.
const LONGEST_PREFIX: usize = 200;

/// Seconds between heartbeats where the URL names none. A dead peer is noticed after two.
const HEARTBEAT: u16 = 10;

/// How to use a broker.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where it is.
    pub url: Url,
    /// The beginning of the name of every exchange and queue. Installations that share a broker differ in it.
    pub prefix: String,
    /// What the broker calls our connections, for people who look: `worker-eval`.
    pub name: String,
    /// How long a publication waits for its confirms, a broker that is away or that blocks publishers
    /// included. Not less than two heartbeats, or a slow disk would look like a dead broker.
    pub publish_limit: Duration,
    /// How long one attempt to connect may take.
    pub connect_limit: Duration,
    /// How often a message is delivered before it is taken for poison and moved to the dead letters.
    /// It is part of how the queues are declared, so the same for everybody who shares a prefix.
    pub delivery_limit: u32,
}

impl Config {
    /// The defaults with that URL.
    pub fn new(url: Url) -> Self {
        Self {
            url,
            prefix: DEFAULT_PREFIX.to_owned(),
            name: DEFAULT_PREFIX.to_owned(),
            publish_limit: Duration::from_secs(30),
            connect_limit: Duration::from_secs(15),
            delivery_limit: 20,
        }
    }

    /// What is wrong with it, if anything is.
    pub(super) fn check(&self) -> Result<(), AmqpError> {
        let fits = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        if self.prefix.is_empty()
            || self.prefix.len() > LONGEST_PREFIX
            || !self.prefix.chars().all(fits)
        {
            return Err(self.url.error(format!(
                "queue prefix `{}` will not do: take 1 to {LONGEST_PREFIX} letters, digits, dots, dashes and \
                 underscores",
                self.prefix
            )));
        }
        if self.delivery_limit == 0 {
            return Err(self
                .url
                .error("delivery limit 0 would deliver nothing: take at least 1"));
        }
        Ok(())
    }
}

/// The URL of a broker: `amqp://user:password@host:port/vhost`, or `amqps://` for TLS. A missing vhost is `/`.
///
/// It shows itself without the password.
#[derive(Clone, PartialEq, Eq)]
pub struct Url(AMQPUri);

impl Url {
    /// What lapin connects to.
    pub(super) fn uri(&self) -> AMQPUri {
        self.0.clone()
    }

    pub(super) fn user(&self) -> &str {
        &self.0.authority.userinfo.username
    }

    pub(super) fn vhost(&self) -> &str {
        &self.0.vhost
    }

    /// An error of this broker.
    pub(super) fn error(&self, message: impl Into<String>) -> AmqpError {
        AmqpError {
            broker: format!("{}:{}", self.0.authority.host, self.0.authority.port),
            message: message.into(),
        }
    }
}

impl FromStr for Url {
    type Err = AmqpError;

    fn from_str(text: &str) -> Result<Self, AmqpError> {
        // The parser's own words may quote the whole URL, password and all.
        let unusable = |why: &str| AmqpError {
            broker: "?".to_owned(),
            message: format!("{why}: write amqp://user:password@host:port/vhost"),
        };
        let authority = text
            .split_once("://")
            .map(|(_, rest)| rest)
            .ok_or_else(|| unusable("the url has no scheme"))?;
        if authority
            .split('/')
            .next()
            .is_some_and(|host| host.contains('['))
        {
            // The parser would take it for localhost.
            return Err(unusable("the url has an address in brackets, use a name"));
        }
        let mut uri: AMQPUri = text
            .parse()
            .map_err(|_| unusable("the url is no amqp or amqps url"))?;
        if uri.vhost.is_empty() {
            "/".clone_into(&mut uri.vhost);
        }
        uri.query.heartbeat.get_or_insert(HEARTBEAT);
        Ok(Self(uri))
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let AMQPUri {
            scheme,
            authority,
            vhost,
            ..
        } = &self.0;
        let (user, host, port) = (
            &authority.userinfo.username,
            &authority.host,
            authority.port,
        );
        let vhost = vhost.replace('/', "%2f");
        write!(f, "{scheme}://{user}@{host}:{port}/{vhost}")
    }
}

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        text.parse().unwrap()
    }

    #[test]
    fn shows_everything_but_the_password() {
        let config = Config::new(url("amqp://ada:s3cret@broker:5673/%2fteam"));
        assert_eq!(config.url.to_string(), "amqp://ada@broker:5673/%2fteam");
        assert!(!format!("{config:?}").contains("s3cret"));
    }

    #[test]
    fn a_missing_vhost_is_the_default_one() {
        for text in ["amqp://broker", "amqp://broker/", "amqp://broker/%2f"] {
            assert_eq!(url(text).vhost(), "/", "{text}");
        }
        assert_eq!(url("amqp://broker/team").vhost(), "team");
    }

    #[test]
    fn a_wrong_url_is_refused_without_repeating_it() {
        for text in [
            "",
            "s3cret",
            "http://ada:s3cret@broker",
            "amqp://ada:s3cret@[::1]:5672",
            "amqp://ada:s3cret@broker:port",
            "amqp:s3cret",
        ] {
            let error = text.parse::<Url>().unwrap_err().to_string();
            assert!(!error.contains("s3cret"), "{error}");
            assert!(error.contains("amqp://user:password@host"), "{error}");
        }
    }

    #[test]
    fn a_prefix_that_makes_no_name_is_refused() {
        for prefix in ["", "żółw", "a b", &"x".repeat(201)] {
            let config = Config {
                prefix: prefix.to_owned(),
                ..Config::new(url("amqp://broker"))
            };
            assert!(config.check().is_err(), "{prefix}");
        }
        assert!(Config::new(url("amqp://broker")).check().is_ok());
    }
}
