//! The one place that writes to the terminal.

use std::io::{self, IsTerminal, Write};

/// A line on standard output. A reader that went away (`| head`) ends the program in peace.
pub fn line(text: impl AsRef<str>) {
    let mut stdout = io::stdout().lock();
    if let Err(e) = writeln!(stdout, "{}", text.as_ref())
        && e.kind() == io::ErrorKind::BrokenPipe
    {
        std::process::exit(0);
    }
}

/// A line on standard error.
pub fn note(text: impl AsRef<str>) {
    // Nothing sensible is left to do when standard error is gone.
    let _ = writeln!(io::stderr().lock(), "{}", text.as_ref());
}

/// A value as JSON on standard output.
///
/// # Errors
/// When it cannot be serialised.
pub fn json(value: &impl serde::Serialize) -> anyhow::Result<()> {
    line(serde_json::to_string_pretty(value)?);
    Ok(())
}

/// Whether a person watches standard error.
pub fn watched() -> bool {
    io::stderr().is_terminal()
}
