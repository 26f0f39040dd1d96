//! Keeps keys out of every text that leaves this module.

use reqwest::Url;
use secrecy::{ExposeSecret, SecretString};

/// Longest server text repeated in an error, in characters.
const LONGEST: usize = 300;

/// What must never be shown: the API key, and what a URL hides in its user part and its query.
#[derive(Clone, Debug, Default)]
pub(crate) struct Secrets(Vec<SecretString>);

impl Secrets {
    /// The secrets of one model.
    pub fn new(key: Option<&SecretString>, url: &Url) -> Self {
        let mut all: Vec<String> = key
            .map(|k| k.expose_secret().trim().to_owned())
            .into_iter()
            .collect();
        all.extend(url.password().map(str::to_owned));
        all.extend(
            url.query_pairs()
                .map(|(_, v)| v.into_owned())
                .filter(|v| v.len() > 3),
        );
        all.retain(|s| !s.is_empty());
        // Longest first: a secret that is part of another must not break the other up.
        all.sort_by_key(|s| std::cmp::Reverse(s.len()));
        Self(all.into_iter().map(SecretString::from).collect())
    }

    /// The text without any secret.
    pub fn scrub(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for secret in &self.0 {
            if text.contains(secret.expose_secret()) {
                text = text.replace(secret.expose_secret(), "[secret]");
            }
        }
        text
    }

    /// A server's words as one short line: scrubbed before they are cut, so that no half secret stays,
    /// and without control characters.
    pub fn quote(&self, text: &str) -> String {
        let text = self.scrub(text);
        let mut line = String::new();
        for word in text.split(|c: char| c.is_whitespace() || c.is_control()) {
            if !word.is_empty() {
                line.push_str(if line.is_empty() { "" } else { " " });
                line.push_str(word);
            }
        }
        if let Some((cut, _)) = line.char_indices().nth(LONGEST) {
            line.truncate(cut);
            line.push('…');
        }
        line
    }
}

/// The URL without user, password, query and fragment.
pub(crate) fn shown(url: &Url) -> String {
    let mut url = url.clone();
    // Both fail only for URLs without a host, which carry neither.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.set_query(None);
    url.set_fragment(None);
    url.as_str().trim_end_matches('/').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secrets() -> (Secrets, Url) {
        let url = Url::parse("http://me:pa55@host:1/v1/?token=abcd1234&v=2#x").unwrap();
        (
            Secrets::new(Some(&SecretString::from("sk-key\n")), &url),
            url,
        )
    }

    #[test]
    fn nothing_secret_is_shown() {
        let (secrets, url) = secrets();
        assert_eq!(shown(&url), "http://host:1/v1");
        assert_eq!(
            secrets.scrub("a sk-key b pa55 abcd1234"),
            "a [secret] b [secret] [secret]"
        );
        assert!(!format!("{secrets:?}").contains("sk-key"));
    }

    #[test]
    fn quotes_are_one_short_clean_line() {
        let (secrets, _) = secrets();
        assert_eq!(
            secrets.quote("  a\n\tb\u{1b}[31m sk-key "),
            "a b [31m [secret]"
        );
        let long = secrets.quote(&"é".repeat(400));
        assert_eq!(long.chars().count(), LONGEST + 1);
        // A key across the cut leaves no part of itself.
        let long = secrets.quote(&format!("{}sk-key", "x".repeat(LONGEST - 3)));
        assert!(!long.contains("sk-"), "{long}");
    }
}
