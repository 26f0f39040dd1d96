//! The coordinator's token: the secret that its callers show. It comes from a file or the environment, never from an
//! argument, which every user of the machine could read.

use anyhow::{Context, bail};
use secrecy::{ExposeSecret, SecretString};
use std::path::Path;

/// The variable.
pub const VARIABLE: &str = "PROMPTIMAL_TOKEN";
/// The shortest that a coordinator takes: whoever guesses it has everything.
const SHORTEST: usize = 16;

/// The token, if there is one: of the file, or else of the environment.
///
/// # Errors
/// When the file cannot be read, or what is there can be no token. The token is not in the message.
pub fn read(file: Option<&Path>) -> anyhow::Result<Option<SecretString>> {
    secret(("--token-file", file), VARIABLE)
}

/// A secret, if there is one: of the file that a flag names, or else of a variable.
///
/// # Errors
/// When the file cannot be read, or what is there can be no secret that is sent. The secret is not in the message.
pub fn secret(
    (flag, file): (&str, Option<&Path>),
    variable: &str,
) -> anyhow::Result<Option<SecretString>> {
    let (secret, place) = match file {
        Some(path) => {
            let place = format!("{flag} {}", path.display());
            let read = std::fs::read_to_string(path);
            (read.with_context(|| place.clone())?, place)
        }
        None => match std::env::var(variable) {
            Ok(value) if !value.trim().is_empty() => (value, variable.to_owned()),
            Err(std::env::VarError::NotUnicode(_)) => bail!("{variable} is no text"),
            _ => return Ok(None),
        },
    };
    let secret = secret.trim();
    if secret.is_empty() {
        bail!("{place} is empty: put the secret into it, or leave it out");
    }
    if !secret.bytes().all(|b| b.is_ascii_graphic()) {
        bail!("{place} holds spaces, line ends or other than ASCII: it is one word");
    }
    Ok(Some(secret.to_owned().into()))
}

/// Whether it may keep others out.
///
/// # Errors
/// When it is short.
pub fn check(secret: &SecretString) -> anyhow::Result<()> {
    match secret.expose_secret().len() {
        n if n < SHORTEST => bail!(
            "the secret has {n} characters, and is guessed too soon: give at least {SHORTEST} (`openssl rand -hex 32` \
             makes one)"
        ),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failure here is a failed test")]

    use super::*;

    #[test]
    fn a_token_is_one_word_and_not_in_messages() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("token");
        for (text, why) in [(" \n", "is empty"), ("two words", "one word")] {
            std::fs::write(&file, text).unwrap();
            let error = read(Some(&file)).unwrap_err().to_string();
            assert!(error.contains(why) && !error.contains("two"), "{error}");
        }
        std::fs::write(&file, "0123456789abcdef\n").unwrap();
        let token = read(Some(&file)).unwrap().unwrap();
        assert_eq!(token.expose_secret(), "0123456789abcdef");
        check(&token).unwrap();
        let error = check(&"hunter2".to_owned().into()).unwrap_err().to_string();
        assert!(!error.contains("hunter2"), "{error}");
        assert!(read(Some(&dir.path().join("none"))).is_err());
    }
}
