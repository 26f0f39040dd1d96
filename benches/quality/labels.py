"""The one reply parser of this bench: what `grader = { kind = "label" }` does (worker-eval/src/grade/text.rs).

`tests/replies.json` holds cases that this file and the product's grader must judge alike; both have a test that reads it.
"""

import unicodedata

QUOTES = "'’‘`"
RELATIONS = "+/=<>^%$@&"
MARKS = "¡§«¶·»¿−"
MINUS = "-−"


def between(c, *ranges):
    return any(low <= ord(c) <= high for low, high in ranges)


def invisible(c):
    control = unicodedata.category(c) == "Cc" and c not in "\n\t\r"
    return control or between(
        c,
        (0xAD, 0xAD), (0x34F, 0x34F), (0x61C, 0x61C), (0x180E, 0x180E), (0xFEFF, 0xFEFF),
        (0x200B, 0x200F), (0x202A, 0x202E), (0x2060, 0x206F),
        (0xFE00, 0xFE0F), (0xFFF9, 0xFFFB), (0xE0000, 0xE01EF),
    )  # fmt: skip


def punctuation(c):
    return c.isascii() and c.isprintable() and not c.isalnum() and c != " "


def gap(c):
    return (
        c.isspace()
        or (punctuation(c) and c not in RELATIONS)
        or between(c, (0x2010, 0x205E), (0x3001, 0x3003), (0x3008, 0x301F))
        or c in MARKS
    )


def fold(text):
    """Lower-case words with single spaces; punctuation is space, apostrophes and invisible characters are nothing."""
    # Letter by letter: str.lower() would look at the neighbours of a sigma.
    lower = "".join(c.lower() for c in unicodedata.normalize("NFKC", text))
    lower = unicodedata.normalize("NFKC", lower)
    out, pending = [], False
    for c, after in zip(lower, [*lower[1:], ""]):
        # A minus is one in front of a number, at the beginning of a word.
        minus = c in MINUS and after.isascii() and after.isdigit() and (pending or not out)
        if c in QUOTES or invisible(c):
            continue
        if minus or not gap(c):
            if pending and out:
                out.append(" ")
            pending = False
            out.append("-" if minus else c)
        else:
            pending = True
    return unicodedata.normalize("NFKC", "".join(out))


def named(reply, labels):
    """The indices of the labels that a reply names, as whole words. Longer names go first and use their words up."""
    folded = [fold(label) for label in labels]
    order = sorted((i for i, name in enumerate(folded) if name), key=lambda i: -len(folded[i].encode()))
    rest, found = f" {fold(reply)} ", set()
    for i in order:
        name = f" {folded[i]} "
        if name in rest:
            found.add(i)
            rest = rest.replace(name, " \n ")
    return found


def verdict(reply, labels):
    """The label that a reply settles on, or None where it names none or several."""
    found = named(reply.strip(), labels)
    return labels[found.pop()] if len(found) == 1 else None
