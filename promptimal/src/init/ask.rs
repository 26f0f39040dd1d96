//! Who answers a question that no flag answers.

use anyhow::{Context, anyhow, bail};
use dialoguer::{Confirm, Input, Select};
use std::io::{IsTerminal, stderr, stdin};

/// Who answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asker {
    /// A person at a terminal. Questions go to standard error.
    Person,
    /// What is proposed.
    Proposals,
    /// Nobody: each answer must be a flag.
    Nobody,
}

impl Asker {
    /// Who is there.
    pub fn find(yes: bool) -> Self {
        match (yes, stdin().is_terminal() && stderr().is_terminal()) {
            (true, _) => Self::Proposals,
            (false, true) => Self::Person,
            (false, false) => Self::Nobody,
        }
    }

    /// One of some options; the proposed one is by its index.
    ///
    /// # Errors
    /// When there is nobody to ask, or who was asked left.
    pub fn choose(
        self,
        (flag, question): (&str, &str),
        options: &[String],
        proposed: Option<usize>,
    ) -> anyhow::Result<usize> {
        match (self, proposed) {
            (Self::Person, _) => {
                let select = Select::new().with_prompt(question).items(options);
                let select = select.default(proposed.unwrap_or(0));
                let chosen = select.interact_opt().with_context(|| unanswered(flag));
                chosen?.ok_or_else(|| anyhow!(unanswered(flag)))
            }
            (Self::Proposals, Some(index)) => Ok(index),
            _ => {
                let proposal = proposed.and_then(|index| options.get(index));
                Err(self.lacking(flag, question, proposal.map(String::as_str)))
            }
        }
    }

    /// A text, which `check` may refuse with a reason.
    ///
    /// # Errors
    /// As [`Asker::choose`], and when what is proposed is refused.
    pub fn text(
        self,
        (flag, question): (&str, &str),
        proposed: Option<&str>,
        check: impl Fn(&str) -> Result<(), String>,
    ) -> anyhow::Result<String> {
        match (self, proposed) {
            (Self::Person, _) => {
                let mut input = Input::<String>::new()
                    .with_prompt(question)
                    .allow_empty(true)
                    .validate_with(|text: &String| check(text.trim()));
                if let Some(proposed) = proposed {
                    input = input.default(proposed.to_owned());
                }
                let said = input.interact_text().with_context(|| unanswered(flag))?;
                Ok(said.trim().to_owned())
            }
            (Self::Proposals, Some(text)) => match check(text) {
                Ok(()) => Ok(text.to_owned()),
                Err(why) => bail!("{flag} {text}: {why}"),
            },
            _ => Err(self.lacking(flag, question, proposed)),
        }
    }

    /// Whether a person agrees; where nobody is asked, yes.
    ///
    /// # Errors
    /// When who was asked left.
    pub fn agrees(self, flag: &str, question: &str) -> anyhow::Result<bool> {
        match self {
            Self::Person => {
                let confirm = Confirm::new().with_prompt(question).default(true);
                let said = confirm.interact_opt().with_context(|| unanswered(flag));
                said?.ok_or_else(|| anyhow!(unanswered(flag)))
            }
            Self::Proposals | Self::Nobody => Ok(true),
        }
    }

    fn lacking(self, flag: &str, question: &str, proposed: Option<&str>) -> anyhow::Error {
        match proposed {
            Some(proposed) => anyhow!(
                "{flag} is missing ({question}), and this is no terminal to ask at: say {flag}, or --yes to take {proposed:?}"
            ),
            None if self == Self::Proposals => {
                anyhow!(
                    "{flag} is missing ({question}), and there is nothing to propose: say {flag}"
                )
            }
            None => {
                anyhow!(
                    "{flag} is missing ({question}), and this is no terminal to ask at: say {flag}"
                )
            }
        }
    }
}

fn unanswered(flag: &str) -> String {
    format!("the question was not answered, and nothing is written: ask again, or say {flag}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const ASKED: (&str, &str) = ("--calls", "how many calls?");

    fn fine(_: &str) -> Result<(), String> {
        Ok(())
    }

    #[test]
    fn without_a_person_proposals_or_flags_decide() {
        let yes = Asker::Proposals;
        let options = ["a".to_owned(), "b".to_owned()];
        assert_eq!(yes.choose(ASKED, &options, Some(1)).unwrap(), 1);
        assert_eq!(yes.text(ASKED, Some("300"), fine).unwrap(), "300");
        assert!(yes.agrees("--input", "right?").unwrap());
        let refused = yes.text(ASKED, Some("x"), |_| Err("no number".to_owned()));
        assert_eq!(refused.unwrap_err().to_string(), "--calls x: no number");
        let nothing = yes.text(ASKED, None, fine).unwrap_err().to_string();
        assert!(nothing.contains("nothing to propose"), "{nothing}");
        let nobody = Asker::Nobody;
        let lacking = nobody.choose(ASKED, &options, Some(0)).unwrap_err();
        assert!(
            lacking
                .to_string()
                .contains("say --calls, or --yes to take \"a\"")
        );
        let lacking = nobody.text(ASKED, None, fine).unwrap_err().to_string();
        assert!(lacking.ends_with("say --calls"), "{lacking}");
    }
}
