"""Keeps rows of data sets out of what is committed: where a text shows one, its hash stands instead."""

import re

# So many words in a row are a quotation.
WORDS = 6


def spans(text):
    return [(m.group().lower(), m.start(), m.end()) for m in re.finditer(r"\w+", text)]


class Redactor:
    def __init__(self, rows):
        self.grams = {}
        for row in rows:
            words = [word for word, _, _ in spans(row.text)]
            size = min(WORDS, len(words))
            for i in range(len(words) - size + 1 if size else 0):
                self.grams.setdefault(tuple(words[i : i + size]), row.hash)
        self.sizes = sorted({len(gram) for gram in self.grams}, reverse=True)

    def quotation(self, words, at):
        for size in self.sizes:
            gram = tuple(word for word, _, _ in words[at : at + size])
            found = self.grams.get(gram)
            # A row of fewer words than make a quotation is one as a whole, where it is long enough to tell.
            if found and len(gram) >= 3:
                return found, len(gram)
        return None, 0

    def hide(self, text):
        """The text with `[row HASH]` for each run of words that a row has too."""
        words, out, done, at = spans(text), [], 0, 0
        while at < len(words):
            found, size = self.quotation(words, at)
            if not found:
                at += 1
                continue
            begin, end = words[at][1], words[at + size - 1][2]
            at += 1
            while True:
                more, size = self.quotation(words, at)
                if not more or words[at][1] > end:
                    break
                end, at = max(end, words[at + size - 1][2]), at + 1
            while at < len(words) and words[at][1] < end:
                at += 1
            out += [text[done:begin], f"[row {found}]"]
            done = end
        return "".join([*out, text[done:]])
