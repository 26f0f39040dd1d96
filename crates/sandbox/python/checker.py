"""What runs in the process that holds the tests. It never sees a candidate's code, only plain values."""

import ast
import builtins
import json
import os
import reprlib
import sys
import types

ANSWERS, CALLS, REPORT = 4, 5, 6  # descriptors
BRIEF = 400  # characters of a failure's text

Brief = reprlib.Repr()
Brief.maxstring = Brief.maxother = 80
Brief.maxlist = Brief.maxtuple = Brief.maxdict = Brief.maxset = 12


class Over(BaseException):
    """The check cannot go on: no test may catch it."""


class Failed(Exception):
    """An exception of a candidate that has no like among the built-in ones."""


class Candidate:
    """The function under test, in the other process."""

    def __init__(self, name):
        self.name = name
        self.verdict = None
        self.begun = False
        self.arguments = None
        self.result = None  # of the last call: how it ended, and with what

    def __call__(self, *arguments, **named):
        if self.verdict:
            raise Over
        if not self.begun:
            self.begin()
        self.arguments, self.result = (arguments, named), None
        try:
            message = pack([arguments, named])
        except TooLarge as error:  # made of what it gave before
            self.end("odd", "%s is called with %s" % (self.name, error))
        except NotPlain as error:
            self.end("tests", "%s is called with %s, which cannot be given to it" % (self.name, error))
        try:
            transmit(os.write, CALLS, message)
        except OSError:
            self.end("gone", "")
        kind, first, second = self.reply()
        return getattr(self, "_" + kind)(first, second)

    def reply(self):
        """The next reply; whatever is none ends the check."""
        try:
            message = receive(os.read, ANSWERS)
            reply = None if message is None else unpack(message)
        except (ValueError, MemoryError) as error:
            self.end("odd", "%s gave %s" % (self.called(), str(error) or "a value too large"))
        if reply is None:
            self.end("gone", "")
        known = {"ready": 1, "value": 2, "raised": 3, "odd": 3, "syntax": 3, "undefined": 3}
        if type(reply) is not list or not reply or type(reply[0]) is not str or known.get(reply[0]) != len(reply):
            self.end("odd", "%s gave no plain value" % self.called())
        if reply[0] not in ("ready", "value") and any(type(part) is not str for part in reply):
            self.end("odd", "%s gave no plain value" % self.called())
        return [*reply, None, None][:3]

    def begin(self):
        """Waits until the candidate is defined."""
        kind, first, second = self.reply()
        if kind == "ready":
            self.begun = True
            return
        if kind == "undefined":
            self.end("undefined", "no function %s is defined" % self.name)
        if kind in ("syntax", "raised"):
            self.end(kind, joined(first, second))
        self.end("odd", "it answered before it was asked")

    def end(self, kind, text):
        self.verdict = (kind, text)
        raise Over

    def _value(self, value, _):
        self.result = ("value", value)
        return value

    def _raised(self, name, text):
        self.result = ("raised", joined(name, text))
        raise like(name, text)

    def _odd(self, what, _):
        self.end("odd", "%s gave %s, not a plain value" % (self.called(), what))

    def _ready(self, *_):
        self.end("odd", "%s gave no plain value" % self.called())

    _syntax = _undefined = _ready

    def called(self):
        """The last call, briefly."""
        if self.arguments is None:
            return self.name
        arguments, named = self.arguments
        shown = [*map(brief, arguments), *("%s=%s" % (key, brief(value)) for key, value in named.items())]
        return "%s(%s)" % (self.name, ", ".join(shown))

    def told(self):
        """What the last call ended with."""
        if self.result is None:
            return ""
        kind, held = self.result
        return "%s %s" % (self.called(), "raised " + held if kind == "raised" else "gave " + brief(held))


def like(name, text):
    """An exception like the candidate's: of the same built-in type, where its name is one."""
    kind = getattr(builtins, name, None)
    # Those that steer loops would be taken for the tests' own.
    steering = (StopIteration, StopAsyncIteration)
    if isinstance(kind, type) and issubclass(kind, Exception) and not issubclass(kind, steering):
        try:
            return kind(text)
        except TypeError:  # it wants more than a text
            pass
    return Failed(joined(name, text))


def brief(value):
    try:
        return Brief.repr(value)
    except Exception:  # a number with too many digits
        return "(%s that cannot be shown)" % type(value).__name__


def joined(name, text):
    return "%s: %s" % (name, text) if text else name


def serve(job):
    """Checks one candidate, and leaves the verdict in the report."""
    kind, text = verdict(job, Candidate(job["entry_point"]))
    report = {"kind": kind, "text": trimmed(text)}
    transmit(os.write, REPORT, json.dumps(report).encode())
    os._exit(0)


def verdict(job, candidate):
    ready = False
    try:
        check = tests(job, candidate)
        if not candidate.begun:
            candidate.begin()
        ready = True
        check(candidate)
        told = ("passed", "")
    except Over:
        return candidate.verdict
    except BaseException as error:
        if ready or candidate.arguments:
            told = failure(job["tests"], candidate, error)
        else:
            told = ("tests", joined(type(error).__name__, str(error)))
    # A test that catches everything has not undone what ended the check.
    return candidate.verdict or told


def tests(job, candidate):
    """The function that checks. What the prompt defines beside the function asked for is the tests' to use."""
    module = types.ModuleType("tests")
    sys.modules["tests"] = module
    exec(context(job["prompt"], job["entry_point"]), module.__dict__)
    module.__dict__[job["entry_point"]] = candidate
    if "numpy" in job["tests"]:
        stand_in_for_numpy()
    exec(compile(job["tests"], "<tests>", "exec", dont_inherit=True), module.__dict__)
    if not callable(module.__dict__.get("check")):
        raise NameError("no function check is defined")
    return module.__dict__["check"]


def context(prompt, entry_point):
    """The prompt's imports and helpers, without the function that is asked for."""
    for ending in ("", "\n    pass\n"):
        try:
            tree = ast.parse(prompt + ending)
        except SyntaxError:
            continue
        asked = lambda node: isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.name == entry_point
        tree.body = [node for node in tree.body if not asked(node)]
        return compile(tree, "<prompt>", "exec")
    return ""


def failure(source, candidate, error):
    """Which statement failed, and what the last call had ended with."""
    raised = bool(candidate.result) and candidate.result[0] == "raised"
    if raised and not isinstance(error, AssertionError):
        return "raised", candidate.told()
    name = joined(type(error).__name__, str(error))
    statement = where(source, error)
    told = [statement or name] if isinstance(error, AssertionError) else [name, statement]
    return "wrong", "; ".join(filter(None, [*told, candidate.told()]))


def where(source, error):
    """The innermost statement of the tests that an exception went through."""
    lines, trace = [], error.__traceback__
    while trace:
        if trace.tb_frame.f_code.co_filename == "<tests>":
            lines.append(trace.tb_lineno)
        trace = trace.tb_next
    if not lines:
        return ""
    line = source.splitlines()[lines[-1] - 1].strip()
    if len(source) > 1 << 18:  # parsing it again would take long
        return line
    spans = [n for n in ast.walk(ast.parse(source)) if isinstance(n, ast.stmt) and n.lineno <= lines[-1] <= n.end_lineno]
    if not spans:
        return line
    innermost = min(spans, key=lambda n: n.end_lineno - n.lineno)
    return ast.unparse(innermost) if len(ast.unparse(innermost)) < BRIEF else line


def trimmed(text):
    """One line; of a long text, start and end."""
    text = " ".join(text.split())
    return text if len(text) <= BRIEF else "%s … %s" % (text[: BRIEF * 3 // 4], text[-BRIEF // 4 :])
