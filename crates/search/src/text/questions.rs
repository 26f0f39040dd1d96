//! Worked turns for rewrites: questions and instructions of ours in several wordings.
//!
//! Each wording holds every fact, name and number of the others, as a rewrite has to. A question stands for itself, so
//! a turn has no task and no input; `right` is a good answer.

use super::turns::{self, Turn};
use crate::draws::Draws;

/// So many turns, drawn; those that are like the question last.
pub fn drawn(draw: &mut Draws, question: &str, n: usize) -> Vec<Turn> {
    turns::unlike(draw, &ALL, |turn| turn.plain, (question, n))
}

/// The questions.
pub const ALL: [Turn; 6] = [
    Turn {
        task: "",
        rough: "that red planet how many moons has it got",
        plain: "How many moons does the red planet have?",
        better: "How many moons orbit Mars, the red planet?",
        reworded: "What is the number of moons that circle the red planet Mars?",
        brief: "Number of moons of Mars, the red planet?",
        input: "",
        wrong: "The red one is very far away.",
        feedback: "no number is named",
        right: "Mars has two moons.",
        mutation: "Name the thing that is asked about.",
        differ: "A says the red planet, B names it.",
        changed: "the planet, by its name and its colour",
    },
    Turn {
        task: "",
        rough: "write me sth for the neighbours, party saturday, might be loud",
        plain: "Write a note to the neighbours about a party on Saturday that may be loud.",
        better: "Write a friendly note of three sentences that tells the neighbours of a party on Saturday and says that it may get loud.",
        reworded: "Compose three friendly sentences for the neighbours: there is a party on Saturday, and it may be loud.",
        brief: "Write the neighbours three friendly sentences: party on Saturday, perhaps loud.",
        input: "",
        wrong: "Parties are fun for everybody.",
        feedback: "this is no note",
        right: "Dear neighbours, we are having some friends over on Saturday. It may get a little loud. Knock if it is too much, or better, join us!",
        mutation: "Say what kind of text it is, how long, and for whom.",
        differ: "A asks for a note, B for three friendly sentences.",
        changed: "the length and the tone of the note",
    },
    Turn {
        task: "",
        rough: "4 boxes, in each 6 jars. 3 are broken, whats left?",
        plain: "There are 4 boxes with 6 jars each, and 3 jars are broken. How many are left?",
        better: "4 boxes hold 6 jars each, and 3 of all these jars are broken. How many whole jars are there?",
        reworded: "Of the jars in 4 boxes of 6, 3 are broken. How many jars are whole?",
        brief: "4 boxes of 6 jars, 3 jars broken: how many are whole?",
        input: "",
        wrong: "There are 3 left.",
        feedback: "the number is wrong",
        right: "There are 21 whole jars.",
        mutation: "Say of each number what it counts.",
        differ: "A asks what is left, B what is whole.",
        changed: "which jars are counted: the whole ones, of all boxes together",
    },
    Turn {
        task: "",
        rough: "why is bread dough left alone before baking",
        plain: "Why is bread dough left alone before it is baked?",
        better: "What happens in bread dough while it rests before baking, so that bakers leave it alone?",
        reworded: "For what reason do bakers let bread dough rest before baking it?",
        brief: "Why does bread dough rest before baking?",
        input: "",
        wrong: "Because the oven has to be hot.",
        feedback: "that is not the reason",
        right: "The yeast makes gas, which lets the dough rise.",
        mutation: "Ask for what happens, not for a habit.",
        differ: "A says left alone, B says rest.",
        changed: "what goes on in the dough in that time",
    },
    Turn {
        task: "",
        rough: "tips for remembering names pls, like 5",
        plain: "Give me 5 tips for remembering names.",
        better: "List 5 practical tips, one short sentence each, for remembering the names of people one has just met.",
        reworded: "Name 5 practical ways to keep the names of new people in mind, a short sentence each.",
        brief: "List 5 short, practical tips for remembering new people's names.",
        input: "",
        wrong: "Names are hard for everybody.",
        feedback: "there are no tips in it",
        right: "Say the name aloud. Link it to a picture. Use it twice. Write it down. Ask again in time.",
        mutation: "Say what each part of the reply should look like.",
        differ: "A asks for tips, B for short, practical ones.",
        changed: "whose names, and how long a tip is",
    },
    Turn {
        task: "",
        rough: "the thing doctors listen to hearts with is named what",
        plain: "What is the thing called that doctors listen to the heart with?",
        better: "Which instrument does a doctor use to listen to a patient's heart?",
        reworded: "What do doctors call the instrument with which they listen to the heart?",
        brief: "With which instrument do doctors listen to the heart?",
        input: "",
        wrong: "A doctor listens to your heart.",
        feedback: "nothing is named",
        right: "It is called a stethoscope.",
        mutation: "Replace the vague word with the kind of thing that is meant.",
        differ: "A says thing, B says instrument.",
        changed: "what kind of thing is asked for",
    },
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::similar::{Profile, near_versions};
    use domain::proposal::{Limits, lost, read};

    /// What we show as a rewrite is one: it is read, loses nothing and is no near-copy of the one it was made from.
    #[test]
    fn what_is_shown_as_a_rewrite_is_one() {
        for turn in ALL {
            let shown = [
                (turn.rough, turn.better),
                (turn.plain, turn.better),
                (turn.plain, turn.reworded),
                (turn.better, turn.reworded),
                (turn.better, turn.brief),
            ];
            for (from, to) in shown {
                assert_eq!(lost(from, to), None, "{from} -> {to}");
                let reply = format!("<prompt>{to}</prompt>");
                let found = read(&reply, from, &Limits::of(from, 400));
                assert_eq!(found.as_deref(), Ok(to), "{from}");
                let near = near_versions(&Profile::of(from), &Profile::of(to));
                assert!(!near, "{from} -> {to}");
            }
        }
    }

    #[test]
    fn no_turn_is_like_the_question() {
        let mut draw = Draws::of("turns", 1);
        let turns = drawn(&mut draw, "How many moons does the blue planet have?", 5);
        assert!(turns.iter().all(|t| *t != ALL[0]));
        assert_eq!(drawn(&mut draw, "", 9).len(), ALL.len());
    }
}
