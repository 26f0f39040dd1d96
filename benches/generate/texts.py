"""Texts that look real, the same from every seed: stories to read and to write on, and questions of four choices."""

import random

WHO = "the baker,a young engineer,her grandmother,the captain,an old gardener,my neighbour,the teacher,a travelling doctor".split(",")
DID = "walked down to,wrote a letter about,carefully repaired,could not forget,had always admired,was looking for,decided to sell,told everyone about".split(",")
WHAT = "the harbour,a small wooden boat,the library on the hill,an unusual clock,the garden behind the school,a map of the island,the bridge across the river,the last train of the evening".split(",")
WHEN = "early in the morning,after the long winter,while the rain fell on the roofs,before anyone else was awake,on the day of the festival,when the news arrived,without saying a word,as the sun went down".split(",")
TOPICS = "photosynthesis,the French Revolution,supply and demand,the structure of the atom,plate tectonics,the circulation of blood,the rule of law,natural selection,the conservation of energy,classical conditioning,the water cycle,Roman architecture".split(",")
ASKS = [
    "Which of the following statements best describes {topic}, as it is taught in an introductory course?",
    "A student has to explain {topic} in an examination. Which of these answers would be given full marks?",
    "According to most textbooks, what is the most important thing to understand about {topic}?",
]
CHOICES = [
    "True", "None of these", "All of the above", "It is not known", "Only the first statement", "It grows with temperature",
    "A slow change over many years", "The movement of water through the soil", "Neither the first nor the second statement",
    "It was first described by the ancient Greeks", "The energy of the system stays the same at all times",
    "A process by which plants turn light into sugar",
]


def sentence(draw):
    parts = [draw.choice(WHO), draw.choice(DID), draw.choice(WHAT), draw.choice(WHEN)]
    text = " ".join(parts)
    return text[0].upper() + text[1:] + "."


def story(draw, sentences):
    return " ".join(sentence(draw) for _ in range(sentences))


def question(draw):
    topic = draw.choice(TOPICS)
    ask = draw.choice(ASKS).format(topic=topic)
    choices = draw.sample(CHOICES, 4)
    listed = "\n".join(f"{letter}. {choice}" for letter, choice in zip("ABCD", choices))
    prefix = f"{story(draw, draw.randint(2, 4))}\n\nQuestion: {ask}\n{listed}\nAnswer:"
    return {"prefix": prefix, "choices": [" " + choice for choice in choices]}


def texts(questions):
    draw = random.Random(1)
    return {
        "read": story(draw, 60),
        "begun": [story(draw, 14) for _ in range(16)],
        "short": "The capital of France is Paris. The capital of Italy is Rome. Water boils at one hundred degrees, and it freezes at zero. "
        "Plants need light, water and air to grow. The sun rises in the east and sets in the",
        "questions": [question(draw) for _ in range(questions)],
    }
