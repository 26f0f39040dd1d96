//! Ways to change an instruction, or a question.

use crate::pool::Subject;

/// Those that suit what is searched.
pub fn of(subject: &Subject) -> &'static [&'static str] {
    match subject {
        Subject::Instruction => &ALL,
        Subject::Question { .. } => &OF_QUESTIONS,
    }
}

/// Ways to change a question: none that adds to what is asked, or says how to answer.
pub const OF_QUESTIONS: [&str; 20] = [
    "Say more exactly what is asked for.",
    "Replace each word that is not clear with a clear one.",
    "Turn it into one plain question.",
    "Turn it into a single clear request.",
    "Put what is asked for at the beginning.",
    "Put what is asked for at the end.",
    "Split it into short sentences with one fact each.",
    "Join what belongs together into one sentence.",
    "Leave out what nobody needs to understand it.",
    "Use simple words, as for somebody who learns the language.",
    "Use the words that an expert of the field would use.",
    "Write it so that it can be read in one way only.",
    "Name each thing that a pronoun stands for.",
    "Say in a few words which field it is from.",
    "Say what is meant instead of what is not meant.",
    "Give the facts in the order in which they are needed.",
    "Mend spelling, grammar and the order of words.",
    "Write it as one would say it aloud, but just as exactly.",
    "Write it as an examiner would print it.",
    "Keep its facts as they are and ask in other words.",
];

/// Each is one short sentence that tells the proposer how.
pub const ALL: [&str; 40] = [
    "Say more exactly what has to be decided.",
    "Make it half as long and lose nothing that matters.",
    "Say first what the answer must look like.",
    "Say last what the answer must look like.",
    "Turn it into a question.",
    "Turn it into one clear order.",
    "Add one sentence about the most likely mistake.",
    "Replace every vague word with an exact one.",
    "Write it for a reader who takes every word literally.",
    "Write it for a reader with little patience.",
    "Split it into two or three short steps.",
    "Put the most important part at the beginning.",
    "Put the most important part at the end.",
    "Add what to do when the case is not clear.",
    "Say what to look for in the input.",
    "Say what to ignore in the input.",
    "Begin with the role of an expert in this work.",
    "Take out the role and the politeness; keep the work.",
    "Ask for a moment of thought before the answer.",
    "Ask for the answer alone, with no explanation.",
    "Ask the reader to check the answer once before writing it.",
    "Explain in a few words when each answer is right.",
    "Use simpler words, as for a child of ten.",
    "Use the words that people of the trade would use.",
    "Say the same from the point of view of the person who asks.",
    "Write it as a rule that holds for every input.",
    "Write a heading of a few words, then one sentence.",
    "Tell the reader why the task matters, in one short sentence.",
    "Change what it stresses: the meaning, not the single words.",
    "Change what it stresses: the exact words, not the general feeling.",
    "Drop the weakest sentence and make the strongest one stronger.",
    "Write something new that reaches the same goal in another way.",
    "Name a sign that is easy to miss and worth looking for.",
    "Warn against answering from the first few words.",
    "Make it warmer and more encouraging, but just as clear.",
    "Make it cooler and more exact, like a manual.",
    "Join its sentences into one that reads easily.",
    "Say what a right answer is not.",
    "Describe the input in a few words before saying what to do with it.",
    "Keep its first half and write the second half anew.",
];
