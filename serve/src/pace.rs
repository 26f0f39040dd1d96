//! How much of a text in the making is certain, and may go out.

/// What of a text went out so far.
pub struct Pace {
    trim: bool,
    stops: Vec<String>,
    sent: usize,
}

impl Pace {
    /// A text that ends before any of `stops`; `trim` leaves spaces around it out.
    pub fn new(trim: bool, stops: Vec<String>) -> Self {
        Self {
            trim,
            stops,
            sent: 0,
        }
    }

    /// What may go out more, of all that was `written`; all of it, once it is `over`.
    pub fn more(&mut self, written: &str, over: bool) -> String {
        let text = match self.trim {
            true => written.trim_start(),
            false => written,
        };
        let certain = match over {
            true => text,
            false => self.certain(text),
        };
        let certain = match self.trim {
            true => certain.trim_end(),
            false => certain,
        };
        // What was held back is held back no longer, and what went out stays.
        let new = certain.get(self.sent..).unwrap_or_default();
        self.sent += new.len();
        new.to_owned()
    }

    /// Without half a character, and without what may be the beginning of a stop text.
    fn certain<'a>(&self, text: &'a str) -> &'a str {
        let whole = text.trim_end_matches('\u{fffd}');
        let begins = |(at, _): &(usize, char)| {
            let tail = &whole[*at..];
            self.stops.iter().any(|stop| stop.starts_with(tail))
        };
        match whole.char_indices().find(begins) {
            Some((at, _)) => &whole[..at],
            None => whole,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(trim: bool, stops: &[&str], texts: &[&str]) -> Vec<String> {
        let stops = stops.iter().map(|s| (*s).to_owned()).collect();
        let mut pace = Pace::new(trim, stops);
        let last = texts.len() - 1;
        let texts = texts.iter().enumerate();
        texts.map(|(i, text)| pace.more(text, i == last)).collect()
    }

    #[test]
    fn half_a_character_waits_for_its_other_half() {
        assert_eq!(
            pieces(false, &[], &["a", "a\u{fffd}", "aé", "aéb"]),
            ["a", "", "é", "b"]
        );
        // A text may end in one all the same.
        assert_eq!(
            pieces(false, &[], &["a\u{fffd}", "a\u{fffd}"]),
            ["a", "\u{fffd}"]
        );
    }

    #[test]
    fn what_may_become_a_stop_text_waits() {
        let said = pieces(
            false,
            &["END", "Ex"],
            &["aE", "aEN", "aENs", "aENsE", "aENs"],
        );
        assert_eq!(said, ["a", "", "ENs", "", ""]);
    }

    #[test]
    fn spaces_around_a_text_stay_away() {
        let said = pieces(true, &[], &[" ", " a", " a ", " a b", " a b \n"]);
        assert_eq!(said, ["", "a", "", " b", ""]);
    }
}
