//! What befalls a task, attempt by attempt.

/// What becomes of one attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Every item is answered and graded.
    Good,
    /// The first item fails, and was paid all the same.
    OneFails,
    /// Nothing is answered.
    AllFail,
    /// The first item cannot be answered, ever.
    OneGivesUp,
    /// The report never comes.
    Lost,
    /// The report comes after the task was given back.
    Late,
    /// The queue delivers the attempt to two workers.
    Twice,
}

/// The tasks of a run that meet with something: their place, and one fate for each attempt; then all is good.
pub type Fates = &'static [(&'static str, &'static [Fate])];

/// A run with all kinds of trouble that ends well.
pub const MIXED: Fates = &[
    ("0/answer/1", &[Fate::OneFails]),
    ("1/propose/0", &[Fate::AllFail, Fate::OneFails]),
    ("1/answer/0", &[Fate::Lost]),
    ("1/answer/2", &[Fate::Late]),
    ("1/answer/3", &[Fate::OneGivesUp]),
    ("2/answer/0", &[Fate::Twice]),
    ("5/answer/1", &[Fate::OneFails, Fate::Late]),
    ("5/answer/3", &[Fate::Lost, Fate::OneFails]),
];

/// A run that had little to ask.
pub const CALM: Fates = &[("1/answer/1", &[Fate::OneFails])];

/// One task dies.
pub const ONE_DIES: Fates = &[
    (
        "0/answer/1",
        &[Fate::AllFail, Fate::OneFails, Fate::AllFail],
    ),
    ("0/answer/2", &[Fate::Twice]),
];

/// Nothing works.
pub const DIES: Fates = &[
    ("0/answer/0", &[Fate::AllFail, Fate::AllFail, Fate::AllFail]),
    ("0/answer/1", &[Fate::AllFail, Fate::AllFail, Fate::AllFail]),
    ("0/answer/2", &[Fate::Lost, Fate::OneGivesUp]),
];

/// The first attempts fail.
pub const WAITS: Fates = &[
    ("0/answer/0", &[Fate::OneFails]),
    ("0/answer/2", &[Fate::AllFail]),
];

/// The fate of an attempt, counted from 0.
pub fn of(fates: Fates, place: &str, attempt: usize) -> Fate {
    let listed = fates.iter().find(|(name, _)| *name == place);
    let fate = listed.and_then(|(_, fates)| fates.get(attempt));
    fate.copied().unwrap_or(Fate::Good)
}
