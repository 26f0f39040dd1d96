"""What the oracle scripts share: where the model is, and the texts that both sides tokenise."""

import hashlib
import json
import os
import pathlib
import random

ROOT = pathlib.Path(__file__).resolve().parents[2]
FIXTURES = ROOT / "crates" / "model" / "tests" / "fixtures"
FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"


def model():
    """The path of the catalogue's model: PROMPTIMAL_CACHE, else the user's cache folder."""
    home = pathlib.Path(os.environ.get("XDG_CACHE_HOME", pathlib.Path.home() / ".cache"))
    folder = pathlib.Path(os.environ.get("PROMPTIMAL_CACHE", home / "promptimal" / "models"))
    path = folder / FILE
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert digest == SHA256, f"{path} is another file: {digest}"
    return path


def write(name, value):
    """Writes a fixture as compact JSON, one top-level item per line."""
    FIXTURES.mkdir(parents=True, exist_ok=True)
    dump = lambda v: json.dumps(v, ensure_ascii=False, separators=(",", ":"))
    if isinstance(value, list):
        text = "[\n" + ",\n".join(map(dump, value)) + "\n]\n"
    else:
        text = "{\n" + ",\n".join(f"{dump(k)}:{dump(v)}" for k, v in value.items()) + "\n}\n"
    (FIXTURES / name).write_text(text, encoding="utf-8")
    print(name, len(text), "bytes")


WRITTEN = [
    "Hello, world!",
    "The kettle sang before the rain reached the window.",
    " leading space",
    "trailing space ",
    "  two spaces, then   three, then    four",
    "tabs\tand\t\tmore tabs",
    "line one\nline two\n\nline four\r\nwindows line",
    "\n\n\n",
    "   ",
    "\t",
    "a",
    "I'm sure they'll say we've won; it's what you'd expect, isn't it?",
    "I'M SURE THEY'LL SAY WE'VE WON, IT'S WHAT YOU'D EXPECT",
    "don’t “quote” me — not here…",
    "0 1 12 123 1234 12345 1234567890",
    "3.14159, 2,718.28 and 1e-10; -40°C = -40°F",
    "2024-02-29T23:59:60Z",
    "call +44 (0)20 7946 0000 ext. 7",
    "½ ⅓ ² ³ Ⅳ ① ٣ १२३",
    "x^2 + y^2 = z^2; √2 ≈ 1.4142; ∑ᵢ aᵢ ≤ ∞",
    "def area(r):\n    return 3.14 * r ** 2  # square units\n",
    "fn main() {\n\tlet v: Vec<u8> = vec![0; 16];\n\tprintln!(\"{:?}\", v);\n}",
    "SELECT name, COUNT(*) FROM birds WHERE wings >= 2 GROUP BY name;",
    "<div class=\"note\">5 &lt; 6 &amp;&amp; 7 > 2</div>",
    "if (a!=b&&c||!d){return a?.b??c;}",
    "https://example.org/path/to?q=1&r=two#part",
    "user.name+tag@mail.example",
    "C:\\Users\\ada\\notes.txt and /etc/hosts",
    "{\"pens\": [1, 2, {\"ink\": null}], \"ok\": true}",
    "naïve café, Über-Straße, smørrebrød, piñata, čeština, žluťoučký",
    "e\u0301 is é in two parts; n\u0303 too",
    "Привет, как дела? Всё хорошо.",
    "Καλημέρα σε όλους",
    "שלום עולם",
    "مرحبا بالعالم، كيف حالك؟",
    "नमस्ते दुनिया",
    "สวัสดีชาวโลก",
    "今天天气很好，我们去公园吧。",
    "東京タワーは高いです。カタカナとひらがな",
    "안녕하세요 세계, 반갑습니다",
    "繁體字與简体字 mixed with English words",
    "😀😃 🎉🎉🎉 👍🏽 👩‍👩‍👧‍👦 🏳️‍🌈 🇫🇷🇯🇵",
    "snowman ☃ and ☂︎, stars ★☆, arrows ←↑→↓",
    "zero\u200bwidth \u200djoiner \ufeffmark \u00a0nbsp\u2003em space",
    "control \u0001\u0007\u001b[31mred\u001b[0m\u007f",
    "combining: a\u0300\u0301\u0302\u0303",
    "𝔘𝔫𝔦𝔠𝔬𝔡𝔢 𝟙𝟚𝟛 𐍈 𓀀",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "!!!???...,,,;;;---___***",
    "$100 + €20 = £? ¥500, 5% off #1 @home",
    "antidisestablishmentarianism pneumonoultramicroscopicsilicovolcanoconiosis",
    "CamelCaseIdentifier snake_case_identifier kebab-case-name SCREAMING_CASE",
    "What is 17 * 23?\nA. 391\nB. 381\nC. 401\nD. 371\nAnswer:",
    "Q: Name three rivers.\nA:",
    "Rewrite the question so that a small model answers it well.",
    "1. first\n2. second\n  - nested\n10. tenth",
    "| a | b |\n|---|---|\n| 1 | 2 |",
    "```python\nprint('hi')\n```",
    "<|im_start|>user\nHello<|im_end|>\n<|im_start|>assistant\n",
    "a <|im_end|> in the middle, <|endoftext|> too, <|im_end and <|nothing|>",
    "<|im_start|><|im_start|><|im_end|>",
    "<s> </s> [INST] <<SYS>> <unk> <pad>",
    "word\u2028separator\u2029paragraph\u0085next",
    "mixed 漢字and latin混在123数字",
]


def texts():
    """Over a hundred texts: the ones above, and seeded mixtures of their pieces."""
    rng = random.Random(20261123)
    pieces = [p for text in WRITTEN for p in text.split(" ") if p]
    mixtures = []
    for _ in range(56):
        gaps = rng.choices([" ", "  ", "\n", "", "\t", " \n ", "\n\n  "], [12, 2, 2, 2, 1, 1, 1], k=12)
        words = rng.sample(pieces, rng.randint(3, 12))
        mixtures.append("".join(word + gap for word, gap in zip(words, gaps)))
    return WRITTEN + mixtures
