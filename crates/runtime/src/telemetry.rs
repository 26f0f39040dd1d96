//! Log lines on standard error, as text for people or JSON for machines.
//!
//! What is logged is chosen by `tracing-subscriber` directives such as `warn,coordinator=debug`: from
//! the options, else from the environment variable [`FILTER_VARIABLE`], else [`DEFAULT_FILTER`], which
//! keeps the command line's own output clean. Standard output is never written to.

use std::io::{IsTerminal, stderr};

use tracing::Subscriber;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::{MakeWriter, format::JsonFields};
use tracing_subscriber::util::SubscriberInitExt;

use crate::line::Line;

/// The environment variable that chooses what is logged.
pub const FILTER_VARIABLE: &str = "PROMPTIMAL_LOG";
/// What is logged when nobody chooses. The broker's client warns with the body of a message that comes back; what
/// matters of that is our own error.
pub const DEFAULT_FILTER: &str = "warn,lapin=error";

/// How to log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TelemetryOptions {
    /// The shape of a line.
    pub format: Format,
    /// Directives that win over the environment.
    pub filter: Option<String>,
    /// Directives instead of [`DEFAULT_FILTER`], where neither says anything.
    pub default_filter: Option<&'static str>,
}

/// The shape of a log line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// For people; coloured on a terminal.
    #[default]
    Text,
    /// One object per line, the fields of the event and of the spans around it at its top level.
    Json,
}

/// Why logging could not start.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The directives cannot be read.
    #[error(
        "{origin} = \"{value}\" does not say what to log: {reason}; write a level \
         (error, warn, info, debug, trace) or directives such as warn,coordinator=debug"
    )]
    Filter {
        /// Where the directives came from.
        origin: String,
        /// The directives.
        value: String,
        /// What is wrong with them.
        reason: String,
    },
    /// Somebody else has started logging in this process.
    #[error("logging was already started in this process")]
    AlreadyStarted,
}

/// Starts logging for the whole process. Call it once, first thing in `main`.
///
/// # Errors
/// When the directives cannot be read, or logging was already started.
pub fn init(options: &TelemetryOptions) -> Result<(), TelemetryError> {
    let filter = filter(options, std::env::var(FILTER_VARIABLE).ok())?;
    let logger = logger(options.format, filter, stderr().is_terminal(), stderr);
    logger
        .try_init()
        .map_err(|_| TelemetryError::AlreadyStarted)
}

fn filter(
    options: &TelemetryOptions,
    environment: Option<String>,
) -> Result<EnvFilter, TelemetryError> {
    let environment = environment.filter(|value| !value.trim().is_empty());
    let (origin, value) = match (&options.filter, environment) {
        (Some(value), _) => ("the log filter", value.clone()),
        (None, Some(value)) => (FILTER_VARIABLE, value),
        (None, None) => {
            let default = options.default_filter.unwrap_or(DEFAULT_FILTER);
            ("the default log filter", default.to_owned())
        }
    };
    EnvFilter::builder()
        .parse(&value)
        .map_err(|reason| TelemetryError::Filter {
            origin: origin.to_owned(),
            reason: reason.to_string(),
            value,
        })
}

fn logger<W>(
    format: Format,
    filter: EnvFilter,
    colours: bool,
    writer: W,
) -> Box<dyn Subscriber + Send + Sync>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(writer)
        .with_ansi(colours);
    match format {
        Format::Text => Box::new(builder.finish()),
        Format::Json => Box::new(
            builder
                .fmt_fields(JsonFields::new())
                .event_format(Line)
                .finish(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{self, Write};
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Page(Arc<Mutex<Vec<u8>>>);

    impl Write for Page {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// What is logged of one line of each level, under these options and this environment.
    fn logged(format: Format, option: Option<&str>, environment: Option<&str>) -> String {
        let options = TelemetryOptions {
            format,
            filter: option.map(str::to_owned),
            ..TelemetryOptions::default()
        };
        let filter = filter(&options, environment.map(str::to_owned)).unwrap();
        let page = Page::default();
        let writer = page.clone();
        let logger = logger(format, filter, false, move || writer.clone());
        tracing::subscriber::with_default(logger, || {
            tracing::warn!(task = 7, "task came back");
            tracing::info!("task done");
        });
        String::from_utf8(page.0.lock().unwrap().clone()).unwrap()
    }

    #[test]
    fn only_warnings_are_logged_by_default() {
        let lines = logged(Format::Text, None, None);
        assert_eq!(lines.lines().count(), 1, "{lines}");
        assert!(
            lines.contains("WARN") && lines.contains("task came back task=7"),
            "{lines}"
        );
    }

    #[test]
    fn options_win_over_the_environment_and_it_over_the_default() {
        assert_eq!(logged(Format::Text, None, Some("info")).lines().count(), 2);
        assert_eq!(
            logged(Format::Text, Some("error"), Some("info"))
                .lines()
                .count(),
            0
        );
        assert_eq!(logged(Format::Text, None, Some(" ")).lines().count(), 1);
    }

    #[test]
    fn json_is_one_flat_object_per_line() {
        let lines = logged(Format::Json, None, Some("info"));
        let first: serde_json::Value = serde_json::from_str(lines.lines().next().unwrap()).unwrap();
        assert_eq!(first["level"], "WARN");
        assert_eq!(first["message"], "task came back");
        assert_eq!(first["task"], 7);
    }

    #[test]
    fn json_lines_say_what_the_spans_around_them_say() {
        let page = Page::default();
        let writer = page.clone();
        let filter = filter(&TelemetryOptions::default(), Some("info".into())).unwrap();
        let logger = logger(Format::Json, filter, false, move || writer.clone());
        tracing::subscriber::with_default(logger, || {
            let outer = tracing::info_span!("run", trace_id = "0a", span_id = "1", later = 0);
            outer.record("later", 2);
            let _outer = outer.enter();
            let _inner = tracing::info_span!("task", span_id = "2", seconds = 0.5).entered();
            let error = io::Error::other("a \"quoted\" word");
            tracing::warn!(%error, span_id = "3", unasked = -1, ok = true, "in \n both");
            tracing::info!("plain");
        });
        let text = String::from_utf8(page.0.lock().unwrap().clone()).unwrap();
        let lines: Vec<serde_json::Value> = text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        let first = &lines[0];
        assert_eq!(
            (&first["trace_id"], &first["span_id"]),
            (&"0a".into(), &"3".into())
        );
        assert_eq!(
            (&first["later"], &first["seconds"]),
            (&2.into(), &0.5.into())
        );
        assert_eq!(
            (&first["unasked"], &first["ok"]),
            (&(-1).into(), &true.into())
        );
        assert_eq!(first["error"], "a \"quoted\" word");
        assert_eq!(
            (&first["message"], &first["level"]),
            (&"in \n both".into(), &"WARN".into())
        );
        assert_eq!(first["target"], "runtime::telemetry::tests");
        assert!(
            first["timestamp"].as_str().unwrap().ends_with('Z'),
            "{first}"
        );
        assert_eq!(lines[1]["span_id"], "2");
    }

    #[test]
    fn bad_directives_are_named_with_the_way_out() {
        let error = filter(
            &TelemetryOptions::default(),
            Some("coordinator=loud".into()),
        );
        let message = error.unwrap_err().to_string();
        assert!(
            message.starts_with("PROMPTIMAL_LOG = \"coordinator=loud\" does"),
            "{message}"
        );
        assert!(message.contains("warn,coordinator=debug"), "{message}");
    }
}
