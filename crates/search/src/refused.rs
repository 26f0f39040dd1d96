//! Why a candidate is refused.

use domain::proposal::Refusal;

/// Why a reply or a prompt is refused: one word for counting ([`Refused::name`]), and a sentence that names the thing
/// and the value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The proposer's reply holds no instruction.
    #[error("reply to {operator}: {why}")]
    Reply {
        /// What was asked.
        operator: &'static str,
        /// What is wrong with the reply.
        why: Refusal,
    },
    /// The proposer said nothing that could be used: it was cut off, refused or failed for good.
    #[error("no whole reply came to {operator}")]
    NoReply {
        /// What was asked.
        operator: &'static str,
    },
    /// A reply to a draft that asked nothing, or whose parent is not in the pool.
    #[error("{operator} asked nothing of a member of this pool")]
    NotAsked {
        /// The draft's operator.
        operator: &'static str,
    },
    /// No letter or digit is in the instruction.
    #[error("the instruction {text:?} is empty but for spaces and signs")]
    Empty {
        /// The instruction.
        text: String,
    },
    /// Too long.
    #[error("the instruction has {chars} characters, and {most} are allowed")]
    TooLong {
        /// How many it has.
        chars: usize,
        /// How many it may have.
        most: usize,
    },
    /// Too many demonstrations.
    #[error("the prompt shows {shots} examples, and {most} are allowed")]
    TooManyShots {
        /// How many it shows.
        shots: usize,
        /// How many it may show.
        most: usize,
    },
    /// One example is shown twice, or with an empty answer.
    #[error("the prompt shows example {example} twice or without an answer")]
    BadShot {
        /// Its id.
        example: String,
    },
    /// Text that every instruction has to contain is not there.
    #[error("the instruction lacks {text:?}, which every instruction has to contain")]
    Missing {
        /// The text.
        text: String,
    },
    /// Text that no instruction may contain is there.
    #[error("the instruction contains {text:?}, which no instruction may contain")]
    Forbidden {
        /// The text.
        text: String,
    },
    /// A slot or placeholder stands in the instruction, where nothing fills it.
    #[error("the instruction contains the slot {slot:?}, which nothing fills")]
    Slot {
        /// As written.
        slot: String,
    },
    /// System or user text is not that of a start prompt.
    #[error("the text {text:?} around the instruction is not that of a start prompt")]
    Frame {
        /// What the user says in it.
        text: String,
    },
    /// A tag of the proposer's messages, or a control token of a chat template.
    #[error("the instruction contains {tag:?}, which belongs to the proposer's messages")]
    Tag {
        /// As written.
        tag: String,
    },
    /// A sentence of ours was repeated: an instruction to the proposer, or a worked turn.
    #[error("the instruction repeats {text:?} of the proposer's messages")]
    Echo {
        /// The sentence.
        text: String,
    },
    /// A member of the pool is the same prompt but for looks.
    #[error("the prompt is that of member {member} but for case, spacing and punctuation")]
    Known {
        /// Its index.
        member: usize,
    },
    /// An example's input stands beside its answer.
    #[error("the instruction gives the answer of train example {example}: {words:?}")]
    GivesAnswer {
        /// Index into the pool's examples.
        example: usize,
        /// Input and answer as they stand in the instruction, folded.
        words: String,
    },
    /// A stretch of an example stands in the instruction.
    #[error("the instruction copies train example {example}: {words:?}")]
    CopiesExample {
        /// Index into the pool's examples.
        example: usize,
        /// The stretch, folded.
        words: String,
    },
    /// It asks for one certain answer, whatever the input is.
    #[error("the instruction asks for {answer:?} whatever the input is")]
    FixedAnswer {
        /// The answer.
        answer: String,
    },
    /// It has no words, or is nothing but labels.
    #[error("the instruction {text:?} has no words that ask for something")]
    NoWords {
        /// Its beginning.
        text: String,
    },
}

impl Refused {
    /// One word, for counting. Those of [`Refused::Reply`] are those of the reading.
    pub fn name(&self) -> &'static str {
        match self {
            Refused::Reply { why, .. } => why.name(),
            Refused::NoReply { .. } => "no_reply",
            Refused::NotAsked { .. } => "not_asked",
            Refused::Empty { .. } => "empty",
            Refused::TooLong { .. } => "too_long",
            Refused::TooManyShots { .. } => "too_many_shots",
            Refused::BadShot { .. } => "bad_shot",
            Refused::Missing { .. } => "missing",
            Refused::Forbidden { .. } => "forbidden",
            Refused::Slot { .. } => "slot",
            Refused::Frame { .. } => "frame",
            Refused::Tag { .. } => "tag",
            Refused::Echo { .. } => "echo",
            Refused::Known { .. } => "known",
            Refused::GivesAnswer { .. } => "gives_answer",
            Refused::CopiesExample { .. } => "copies_example",
            Refused::FixedAnswer { .. } => "fixed_answer",
            Refused::NoWords { .. } => "no_words",
        }
    }
}
