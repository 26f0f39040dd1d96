//! The broker that tests of RabbitMQ run on: `scripts/services/rabbitmq` starts it.

use std::fs::File;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use lapin::options::QueueDeleteOptions;
use lapin::{Channel, Connection, ConnectionProperties};
use queue::amqp::{self, AmqpQueue, Config, Url};
use queue::conformance::QUIET;
use queue::{Consumer, Lane};
use tokio::time::timeout;

fn skip(why: &str) {
    use std::io::Write;
    println!("skipped: {why}");
    if let Some(log) = std::env::var_os("PROMPTIMAL_SKIP_LOG") {
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(log);
        writeln!(log.unwrap(), "skipped: {why}").unwrap();
    }
}

/// A broker, and the permission to use it. Names of one broker never meet those of another.
pub struct Broker {
    pub url: String,
    names: String,
    next: AtomicUsize,
    _turn: Option<File>,
}

impl Broker {
    /// A broker that nobody hurts meanwhile.
    pub fn shared(test: &str) -> Option<Self> {
        let broker = Self::find(test)?;
        Some(match Self::turns() {
            None => broker,
            Some(file) => {
                file.lock_shared().unwrap();
                Self {
                    _turn: Some(file),
                    ..broker
                }
            }
        })
    }

    /// A broker to hurt: nobody else uses it meanwhile, whatever process they are in.
    pub fn alone(test: &str) -> Option<Self> {
        let broker = Self::find(test)?;
        let Some(file) = Self::turns() else {
            skip(&format!("{test}: PROMPTIMAL_TEST_RABBITMQ_DIR is not set"));
            return None;
        };
        file.lock().unwrap();
        Some(Self {
            _turn: Some(file),
            ..broker
        })
    }

    fn find(test: &str) -> Option<Self> {
        let Ok(url) = std::env::var("PROMPTIMAL_TEST_AMQP_URL") else {
            skip(&format!("{test}: PROMPTIMAL_TEST_AMQP_URL is not set"));
            return None;
        };
        Some(Self {
            url,
            names: format!("test-{test}-{}", std::process::id()),
            next: AtomicUsize::new(0),
            _turn: None,
        })
    }

    fn turns() -> Option<File> {
        let dir = std::env::var_os("PROMPTIMAL_TEST_RABBITMQ_DIR")?;
        Some(File::create(PathBuf::from(dir).join("turns")).unwrap())
    }

    /// A prefix that nothing on the broker has.
    pub fn prefix(&self) -> String {
        let number = self.next.fetch_add(1, Ordering::SeqCst);
        format!("{}-{number}", self.names)
    }

    pub fn config(&self) -> Config {
        let url: Url = self.url.parse().unwrap();
        Config {
            prefix: self.prefix(),
            ..Config::new(url)
        }
    }

    /// A queue of its own, with empty lanes.
    pub async fn queue(&self) -> AmqpQueue {
        amqp::connect(self.config()).await.unwrap()
    }

    /// `scripts/services/rabbitmq COMMAND DIR ARGUMENTS`.
    pub fn service(&self, command: &str, arguments: &[&str]) {
        let script = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../scripts/services/rabbitmq"
        );
        let dir = std::env::var_os("PROMPTIMAL_TEST_RABBITMQ_DIR").unwrap();
        let output = Command::new(script)
            .arg(command)
            .arg(dir)
            .args(arguments)
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{command} {arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }

    /// The broker without the adapter.
    pub async fn raw(&self) -> (Connection, Channel) {
        let url: lapin::uri::AMQPUri = self.url.parse().unwrap();
        let connection = Connection::connect_uri(url, ConnectionProperties::default())
            .await
            .unwrap();
        let channel = connection.create_channel().await.unwrap();
        (connection, channel)
    }

    pub async fn delete(&self, prefix: &str, lane: Lane) {
        let (_connection, channel) = self.raw().await;
        let name = format!("{prefix}.{}", lane.name());
        channel
            .queue_delete(name.as_str().into(), QueueDeleteOptions::default())
            .await
            .unwrap();
    }
}

/// Tries until it holds.
pub async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    for _ in 0..600 {
        if holds().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("{what}: not within a minute");
}

/// Whether nothing comes for a while.
pub async fn is_quiet(consumer: &mut dyn Consumer) -> bool {
    timeout(QUIET, consumer.next()).await.is_err()
}
