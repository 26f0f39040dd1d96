//! Worked turns: small tasks of ours with everything that an operator's messages are made of.
//!
//! A small model follows the form of a conversation where it does not follow rules. Which tasks are shown is drawn by
//! seed, so that two drafts of one operator differ, and never one that is like the user's own.

use crate::{draws::Draws, similar::similarity};

/// A task with instructions of ours, from poor to good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turn {
    /// What the task is.
    pub task: &'static str,
    /// A poor instruction.
    pub rough: &'static str,
    /// One that works.
    pub plain: &'static str,
    /// A good one.
    pub better: &'static str,
    /// The good one in other words.
    pub reworded: &'static str,
    /// The good one, short.
    pub brief: &'static str,
    /// An input.
    pub input: &'static str,
    /// What a model said to it that is wrong.
    pub wrong: &'static str,
    /// What was said of that.
    pub feedback: &'static str,
    /// The right answer.
    pub right: &'static str,
    /// How the rough one was changed to become the good one: a mutation prompt.
    pub mutation: &'static str,
    /// In what the plain and the brief one differ.
    pub differ: &'static str,
    /// Something new in place of that.
    pub changed: &'static str,
}

/// Above this [`similarity`] of the descriptions a task of ours is too like the user's to be shown.
const LIKE: f64 = 0.5;

/// So many turns, drawn; the most unlike the task where all are like it.
pub fn drawn(draw: &mut Draws, task: &str, n: usize) -> Vec<Turn> {
    unlike(draw, &ALL, |turn| turn.task, (task, n))
}

/// So many of these turns, drawn; by what they say of themselves, those that are like the text come last.
pub(super) fn unlike(
    draw: &mut Draws,
    of: &[Turn],
    says: fn(&Turn) -> &'static str,
    (text, n): (&str, usize),
) -> Vec<Turn> {
    let mut turns: Vec<(bool, Turn)> = of
        .iter()
        .map(|turn| (similarity(says(turn), text) > LIKE, *turn))
        .collect();
    draw.shuffle(&mut turns);
    // Stable: the drawn order stays within either half.
    turns.sort_by_key(|(like, _)| *like);
    turns.into_iter().take(n).map(|(_, turn)| turn).collect()
}

/// The tasks.
pub const ALL: [Turn; 6] = [
    Turn {
        task: "Name the bird that a note describes.",
        rough: "bird?",
        plain: "Say which bird the note is about.",
        better: "Which bird does the note describe? Look at colour, size and call, and answer with its common name only.",
        reworded: "Read the note for colour, size and call, then give just the common name of the bird.",
        brief: "Which bird is it? Common name only.",
        input: "Small, brown, red breast, sings from the fence in winter.",
        wrong: "It could be one of many small birds.",
        feedback: "no bird is named",
        right: "robin",
        mutation: "Say which signs to look for, and how to answer.",
        differ: "A asks for the bird, B for its common name only.",
        changed: "the common name, judged by colour, size and call",
    },
    Turn {
        task: "Say in which room of a house a thing is kept.",
        rough: "Where does this go in the house",
        plain: "Name the room where the thing is kept.",
        better: "In which room of a house would most people keep this thing? Write one room and nothing else.",
        reworded: "Think of where most households keep the thing and reply with that single room.",
        brief: "Where is it usually kept? Write one room.",
        input: "a rolling pin",
        wrong: "Kitchen or pantry, perhaps the cellar.",
        feedback: "several rooms are named",
        right: "kitchen",
        mutation: "Ask for the usual case and for a single answer.",
        differ: "A asks for a room, B for the usual one.",
        changed: "the room that most households would choose, just one",
    },
    Turn {
        task: "Write the hour of a train's departure from a message.",
        rough: "train time pls",
        plain: "Write when the train leaves.",
        better: "Find the time at which the train leaves, not the one at which it arrives, and write it as HH:MM.",
        reworded: "From the message take the departure, not the arrival, and give it in the form HH:MM.",
        brief: "Write the departure time, not the arrival, as HH:MM.",
        input: "We get in at half past nine, it sets off at ten to eight.",
        wrong: "09:30",
        feedback: "this is the arrival",
        right: "07:50",
        mutation: "Warn of the value that is easily taken for the right one.",
        differ: "B warns of the arrival and fixes the form, A does neither.",
        changed: "the departure, whatever else is mentioned, in the form HH:MM",
    },
    Turn {
        task: "Tell whether a recipe can be cooked without an oven.",
        rough: "oven or no oven, tell me about it",
        plain: "Say whether the recipe needs an oven.",
        better: "Does any step of the recipe need an oven? Read all steps, then answer needed or not needed.",
        reworded: "Go through every step of the recipe and write needed if one uses an oven, otherwise not needed.",
        brief: "Does a step use an oven? Answer needed or not needed.",
        input: "Mix flour and milk, fry thin cakes in butter, warm the plates in the oven if you like.",
        wrong: "needed",
        feedback: "the oven is only for the plates, and only for those who like",
        right: "not needed",
        mutation: "Ask for the whole text to be read, and name the possible answers.",
        differ: "A asks about the recipe, B about a step and names the answers.",
        changed: "every step, then needed or not needed",
    },
    Turn {
        task: "Give the colour that a paint's trade name stands for.",
        rough: "Tell me colours.",
        plain: "Write the colour that the name of the paint means.",
        better: "A paint has this fancy name. Reply with the basic colour that it most likely is, as one lower-case word.",
        reworded: "Decide which basic colour the fancy paint name most likely means and write it as one word in small letters.",
        brief: "Which basic colour is this paint? One lower-case word.",
        input: "Morning Canary",
        wrong: "A light, friendly tone.",
        feedback: "the answer is not one word",
        right: "yellow",
        mutation: "Explain what the input is, then fix the form of the answer.",
        differ: "A asks for any colour, B for a basic one in one word.",
        changed: "the most likely basic colour in small letters",
    },
    Turn {
        task: "Sort a letter to the office that has to deal with it.",
        rough: "sort this letter",
        plain: "Say which office gets the letter: garden, roads or library.",
        better: "Decide what the writer wants done. Answer garden, roads or library, and choose by the request, not by the place.",
        reworded: "Find the request in the letter, whatever place it mentions, and name its office: garden, roads or library.",
        brief: "What is requested? Answer garden, roads or library.",
        input: "The lamp in front of the library has been dark for a week.",
        wrong: "library",
        feedback: "the writer wants a street lamp mended",
        right: "roads",
        mutation: "Tell what the decision hangs on, and what it does not hang on.",
        differ: "A asks who gets the letter, B what is requested.",
        changed: "the request, whatever place is mentioned",
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_are_drawn_and_none_is_like_the_task() {
        let seen = |seed| -> Vec<&str> {
            let mut draw = Draws::of("turns", seed);
            let turns = drawn(&mut draw, "Name the bird that the note describes.", 5);
            turns.iter().map(|t| t.task).collect()
        };
        assert_eq!(seen(1), seen(1));
        assert!((0..20).any(|s| seen(s) != seen(1)));
        assert!((0..20).all(|s| !seen(s).contains(&ALL[0].task)));
        let mut draw = Draws::of("turns", 1);
        assert_eq!(drawn(&mut draw, "", 9).len(), ALL.len());
    }
}
