//! Ways to look at a task, or at a question.

use crate::pool::Subject;

/// Those that suit what is searched.
pub fn of(subject: &Subject) -> &'static [&'static str] {
    match subject {
        Subject::Instruction => &ALL,
        Subject::Question { .. } => &OF_QUESTIONS,
    }
}

/// Ways to look at a question, not at its answer.
pub const OF_QUESTIONS: [&str; 12] = [
    "Which word could be read in two ways?",
    "What would a reader in a hurry overlook?",
    "Which part of it is only decoration?",
    "What does the person who asks really want to know?",
    "How would somebody put it who sets exams?",
    "How would a friend ask it at a table?",
    "What is given, and what is asked for?",
    "Which fact does a reader need first?",
    "What would somebody new to the field not understand?",
    "How short could it be without losing anything?",
    "Which sentence should stand last, to be remembered best?",
    "Look at what the wording takes for granted.",
];

/// Each is one short sentence, said to the proposer.
pub const ALL: [&str; 40] = [
    "Name the one thing that decides the answer.",
    "Which mistake would a hurried reader make here?",
    "Think of the input that is hardest to get right.",
    "Say what a right answer looks like before saying how to find it.",
    "What does somebody who does this all day look at first?",
    "Leave out every word that a careful reader would not miss.",
    "Which two answers are easily taken for each other, and what tells them apart?",
    "Imagine that the reader knows nothing of this task but reads carefully.",
    "Turn the goal into a short list of checks.",
    "What would you say if you had only ten words?",
    "Begin at the answer and go back to what has to be read for it.",
    "Look for the part of the input that is only noise.",
    "What is the same in all inputs, and what changes?",
    "Give the reader a role that fits the work.",
    "Say it as a question that the input answers.",
    "Say it as an order, in one sentence.",
    "What should be done when two answers seem equally good?",
    "Which words in the input are the strongest signs?",
    "Tell apart what is written and what is only meant.",
    "How would a teacher check that the work was done well?",
    "What does the reader do when the input is very short or strange?",
    "Fix the form of the answer first, then everything else.",
    "Think of a form that a clerk fills in: which field is this?",
    "What would make two people disagree here, and who would be right?",
    "Split the work into reading, deciding and writing.",
    "Which rule of thumb is right nine times out of ten?",
    "Describe the task the way a friend would at a table.",
    "Describe the task the way a standard would: every word has one meaning.",
    "What must the reader ignore, however loud it is?",
    "Look for irony, negation and exceptions.",
    "What is the smallest piece of evidence that is enough?",
    "Weigh the whole input, not its first sentence.",
    "Try the obvious reading first; what would overturn it?",
    "What would a wrong answer cost, and how is it avoided?",
    "Picture three very different inputs; what works for all of them?",
    "Name each possible answer and when it is the right one.",
    "Ask what the person who wrote the input wanted.",
    "Count, compare or measure where feeling would mislead.",
    "How would you explain the task with one plain example in mind?",
    "What would you add if the reader failed twice in the same way?",
];
