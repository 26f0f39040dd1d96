//! Answers that try to pass without being right, and right ones that look strange.
#![allow(clippy::unwrap_used, reason = "a failure here is a failed test")]

mod common;

use common::{open, options};
use sandbox::{Judged, Limit, Problem, Sandbox, Why};

/// `add(a, b)`, checked as HumanEval checks.
fn add() -> Problem {
    problem(
        "
def check(candidate):
    assert candidate(2, 3) == 5, 'secret-message'
    assert candidate(40, 2) == 42
    assert candidate(-1, 1) == 0
",
    )
}

fn problem(tests: &str) -> Problem {
    Problem {
        prompt: "def add(a, b):\n    \"\"\" The sum. \"\"\"\n".to_owned(),
        entry_point: "add".to_owned(),
        tests: tests.to_owned(),
    }
}

fn judged(sandbox: &Sandbox, problem: &Problem, code: &str) -> Judged {
    let judged = sandbox.judge(problem, code);
    judged.unwrap_or_else(|error| panic!("{error}\n{code}"))
}

const CHEATS: &[&str] = &[
    // Leaving as if all were well.
    "import os\nprint('passed')\nos._exit(0)",
    "import sys\nsys.exit(0)",
    "raise SystemExit",
    "import os\ndef add(a, b): os._exit(0)",
    "import sys\ndef add(a, b): sys.exit(0)",
    "def add(a, b): raise SystemExit(0)",
    "def add(a, b): raise KeyboardInterrupt",
    "def add(a, b): raise GeneratorExit",
    "def add(a, b): raise StopIteration",
    "def add(a, b): raise AssertionError",
    "import os\ndef add(a, b): os.close(5)",
    "import os\ndef add(a, b): os.closerange(0, 300)",
    "import os, signal\nsignal.alarm(1)\ndef add(a, b):\n    while True: pass",
    // Equal to everything.
    "class Any:\n    def __eq__(self, other): return True\ndef add(a, b): return Any()",
    "class Any(int):\n    def __eq__(self, other): return True\n    __hash__ = int.__hash__\ndef add(a, b): return Any(7)",
    "class Any(float):\n    def __eq__(self, other): return True\n    def __float__(self): return Any(7)\ndef add(a, b): return Any(7)",
    "class Any(int):\n    def __eq__(self, other): return True\n    def __int__(self): return Any(7)\n    __index__ = __trunc__ = __int__\ndef add(a, b): return Any(7)",
    "class Any(list):\n    def __eq__(self, other): return True\ndef add(a, b): return Any()",
    "class Any(dict):\n    def items(self): return 5\n    def __eq__(self, other): return True\ndef add(a, b): return Any()",
    "class Any(str):\n    def __eq__(self, other): return True\n    def __str__(self): return self\ndef add(a, b): return Any()",
    "class Meta(type):\n    def __eq__(self, other): return True\nclass Any(metaclass=Meta): pass\ndef add(a, b): return Any",
    "import unittest.mock\ndef add(a, b): return unittest.mock.ANY",
    "def add(a, b): return float('nan')",
    "def add(a, b): return (5, 42, 0)",
    // Other built-ins, other modules.
    "import builtins\nbuiltins.AssertionError = type('E', (BaseException,), {})\ndef add(a, b): return 7",
    "import builtins\nbuiltins.compile = builtins.exec = builtins.eval = lambda *a, **k: None\ndef add(a, b): return 7",
    "import builtins\nclass Odd(int):\n    def __eq__(s, o): return True\nbuiltins.int = Odd\ndef add(a, b): return int(7)",
    "import operator, functools\noperator.eq = lambda a, b: True\ndef add(a, b): return 7",
    "import json\njson.dumps = lambda *a, **k: '[\"value\",5]'\ndef add(a, b): return 7",
    "import sys\nfor m in list(sys.modules.values()):\n    for n in ('check', 'candidate', 'tests', 'verdict'):\n        if hasattr(m, n): setattr(m, n, lambda *a, **k: ('passed', ''))\ndef add(a, b): return 7",
    "import sys, types\nsys.modules['tests'] = types.ModuleType('tests')\nsys.modules['tests'].check = lambda c: None\ndef add(a, b): return 7",
    "def check(candidate): pass\ndef add(a, b): return 7",
    "def check(candidate): pass\nadd = check",
    // Frames: whatever is above, patched.
    "import sys\nf = sys._getframe()\nwhile f:\n    f.f_globals.update(check=lambda c: None, pack=lambda v: b'', transmit=lambda *a: None)\n    f = f.f_back\ndef add(a, b): return 7",
    "import sys\ndef add(a, b):\n    f = sys._getframe()\n    while f:\n        for k, v in list(f.f_globals.items()):\n            if callable(v): f.f_globals[k] = lambda *a, **k: None\n        f = f.f_back\n    return 7",
    // Descriptors: whatever is open, written to.
    "import os\nfor fd in range(300):\n    try: os.write(fd, b'{\"kind\": \"passed\", \"text\": \"\"}')\n    except OSError: pass\ndef add(a, b): return 7",
    "import os\ndef add(a, b):\n    for fd in range(300):\n        try: os.write(fd, b'{\"kind\": \"passed\", \"text\": \"\"}')\n        except OSError: pass\n    os._exit(0)",
    // Messages that are none.
    "import os\ndef say(b): os.write(5, len(b).to_bytes(4, 'little') + b)\ndef add(a, b):\n    say(b'[\"passed\"]')\n    return 7",
    "import os\ndef say(b): os.write(5, len(b).to_bytes(4, 'little') + b)\ndef add(a, b):\n    say(b'[\"end\",\"passed\",\"\"]')",
    "import os\ndef say(b): os.write(5, len(b).to_bytes(4, 'little') + b)\nsay(b'[\"ready\"]'); say(b'[\"ready\"]')\ndef add(a, b): return 7",
    "import os\ndef say(b): os.write(5, len(b).to_bytes(4, 'little') + b)\nfor _ in range(100): say(b'[\"value\",7]')\ndef add(a, b): return 7",
    "import os\ndef say(b): os.write(5, len(b).to_bytes(4, 'little') + b)\ndef add(a, b): say(b'{\"value\":5}')",
    "import os\ndef say(b): os.write(5, len(b).to_bytes(4, 'little') + b)\ndef add(a, b): say(b'[\"value\",{\"o\":1}]')",
    "import os\ndef say(b): os.write(5, len(b).to_bytes(4, 'little') + b)\ndef add(a, b): say(b'[\"value\",{\"s\":[[1]]}]')",
    "import os\ndef say(b): os.write(5, len(b).to_bytes(4, 'little') + b)\ndef add(a, b): say(b'[\"value\",{\"c\":[[],1]}]')",
    "import os\ndef say(b): os.write(5, len(b).to_bytes(4, 'little') + b)\ndef add(a, b): say(b'[\"value\",{}]')",
    "import os\ndef say(b): os.write(5, len(b).to_bytes(4, 'little') + b)\ndef add(a, b): say(b'[[[')",
    "import os\ndef say(b): os.write(5, len(b).to_bytes(4, 'little') + b)\ndef add(a, b): say(b'[' * 100000)",
    "import os\ndef say(b): os.write(5, len(b).to_bytes(4, 'little') + b)\ndef add(a, b): say(b'[\"value\",' + b'9' * 50000 + b']')",
    "import os\ndef say(b): os.write(5, len(b).to_bytes(4, 'little') + b)\ndef add(a, b): say(b'[\"raised\",\"__import__\",\"os\"]')",
    "import os\ndef say(b): os.write(5, len(b).to_bytes(4, 'little') + b)\ndef add(a, b): say(b'[\"raised\",5,{}]')",
    "import os\ndef say(b): os.write(5, len(b).to_bytes(4, 'little') + b)\ndef add(a, b): say(b'[\"raised\",\"ExceptionGroup\",\"x\"]')",
    "import os\ndef add(a, b): os.write(5, b'\\xff\\xff\\xff\\xff')",
    "import os\ndef add(a, b): os.write(5, b'\\x01')",
    // Too much.
    "def add(a, b): return 'x' * (1 << 26)",
    "def add(a, b):\n    v = []\n    v.append(v)\n    return v",
    "def add(a, b):\n    v = []\n    for _ in range(100000): v = [v]\n    return v",
    "def add(a, b): return [[]] * 3000000",
    // Nothing, and nothing that could be called.
    "",
    "add = 5",
    "def add(a, b):",
    "def add(a, b): yield a + b",
    "async def add(a, b): return a + b",
    "def add(a, b): return lambda: a + b",
    "import ctypes\nctypes.string_at(0)\ndef add(a, b): return a + b",
];

#[test]
fn no_cheat_passes() {
    // Some leave the tests waiting for the rest of a message.
    let mut options = options();
    options.limits.wall = std::time::Duration::from_secs(8);
    let sandbox = Sandbox::open(options).unwrap();
    for code in CHEATS {
        let judged = judged(&sandbox, &add(), code);
        assert!(!judged.passed, "passed: {code}");
        let text = judged.failure.unwrap().text;
        assert!(text.chars().count() < 450, "{text}");
    }
    // The slots are as good as before.
    assert!(judged(&sandbox, &add(), "def add(a, b): return a + b").passed);
}

/// A candidate that finds any text of the tests in its process gives right answers, and others do not.
#[test]
fn the_tests_are_nowhere_to_be_found() {
    let search = "
import gc, sys
def texts():
    seen = gc.get_objects()
    frame = sys._getframe()
    while frame:
        seen += [frame.f_locals, frame.f_globals, frame.f_builtins, frame.f_code.co_consts]
        frame = frame.f_back
    for thing in seen:
        inner = [*thing, *thing.values()] if isinstance(thing, dict) else thing if isinstance(thing, (list, tuple)) else []
        yield from (one if isinstance(one, str) else one.decode(errors='replace') for one in inner if isinstance(one, (str, bytes)))
";
    let needle = "''.join(['secret', '-', 'message'])";
    let found = |extra: &str| {
        format!(
            "{search}{extra}
def add(a, b):
    needle = {needle}
    found = any(needle in text for text in texts() if text is not needle)
    return a + b if found else 'nothing'
"
        )
    };
    let sandbox = open();
    // The search works: it finds what is there.
    assert!(judged(&sandbox, &add(), &found("held = {'x': 'a secret-message'}")).passed);
    let judged = judged(&sandbox, &add(), &found(""));
    let failure = judged.failure.unwrap();
    assert!(failure.text.contains("'nothing'"), "{failure:?}");
}

/// No test can undo the end of a candidate, whatever it catches.
#[test]
fn tests_that_catch_everything_are_not_fooled() {
    let sandbox = open();
    let lenient = problem(
        "
def check(candidate):
    for _ in range(3):
        try:
            candidate(1, 2)
        except:
            pass
",
    );
    assert!(judged(&sandbox, &lenient, "def add(a, b): raise ValueError").passed);
    for code in [
        "import os\ndef add(a, b): os._exit(0)",
        "def add(a, b): return object()",
        "x = 1",
        "def add(a, b):",
    ] {
        assert!(!judged(&sandbox, &lenient, code).passed, "{code}");
    }
}

/// An exception that ends loops does not end those of the tests.
#[test]
fn loops_of_the_tests_are_not_cut_short() {
    let sandbox = open();
    let mapped = problem(
        "
def check(candidate):
    for given, wanted in zip(map(candidate, [1, 2], [3, 4]), [4, 6]):
        assert given == wanted
",
    );
    assert!(judged(&sandbox, &mapped, "def add(a, b): return a + b").passed);
    for name in [
        "StopIteration",
        "StopAsyncIteration",
        "GeneratorExit",
        "IndexError",
    ] {
        let code = format!("def add(a, b): raise {name}");
        assert!(!judged(&sandbox, &mapped, &code).passed, "{name}");
    }
}

#[test]
fn limits_are_told() {
    let mut options = options();
    options.limits.wall = std::time::Duration::from_secs(4);
    let slow = Sandbox::open(options).unwrap();
    let sandbox = open();
    let why = |sandbox: &Sandbox, code: &str| judged(sandbox, &add(), code).failure.unwrap().why;
    assert_eq!(
        why(&slow, "import time\ndef add(a, b): time.sleep(100)"),
        Why::Limit(Limit::Wall)
    );
    assert_eq!(
        why(&slow, "import time\ntime.sleep(100)"),
        Why::Limit(Limit::Wall)
    );
    let spins = "def add(a, b):\n    while True: pass";
    assert_eq!(why(&sandbox, spins), Why::Limit(Limit::Cpu));
    let grows = "def add(a, b): return len(bytearray(1 << 40))";
    assert_eq!(why(&sandbox, grows), Why::Limit(Limit::Memory));
    let crashes = "import ctypes\ndef add(a, b): ctypes.string_at(0)";
    assert_eq!(why(&sandbox, crashes), Why::Crashed);
    let leaves = "import os\ndef add(a, b): os._exit(3)";
    assert_eq!(why(&sandbox, leaves), Why::Exited);
    // Values that are dear to hold cost the tests' side its time, and the answer its pass.
    let dear = "def add(a, b): return {i * (2 ** 61 - 1) for i in range(40000)}";
    assert_eq!(why(&sandbox, dear), Why::Limit(Limit::Cpu));
}

const STRANGE: &[&str] = &[
    "add = lambda a, b: a + b",
    "class Add:\n    def __call__(self, a, b): return a + b\nadd = Add()",
    "import operator\nadd = operator.add",
    "def add(a, b):\n    print('noise' * 1000)\n    return a + b",
    "import sys\nsys.stdout = None\ndef add(a, b): return a + b",
    "class Whole(int): pass\ndef add(a, b): return Whole(a + b)",
    "import enum\ndef add(a, b): return enum.IntEnum('E', {'X': a + b}).X",
    "def add(a, b): return float(a + b)",
    "def add(a, b): return complex(a + b)",
    "if __name__ == '__main__':\n    raise ValueError\ndef add(a, b): return a + b",
    "calls = 0\ndef add(a, b):\n    global calls\n    calls += 1\n    return a + b + (calls > 3)",
    "from __future__ import annotations\nfrom dataclasses import dataclass\n@dataclass\nclass P:\n    a: int\n    b: int\ndef add(a, b):\n    p = P(a, b)\n    return p.a + p.b",
    "open('x', 'w').write('4')\ndef add(a, b): return a + b + int(open('x').read()) - 4",
];

#[test]
fn right_answers_may_look_strange() {
    let sandbox = open();
    for code in STRANGE {
        let judged = judged(&sandbox, &add(), code);
        assert!(judged.passed, "{:?}: {code}", judged.failure);
    }
}

/// Containers that extend plain ones compare as these.
#[test]
fn extended_containers_are_plain() {
    let sandbox = open();
    for (returned, wanted) in [
        ("collections.Counter('aab')", "{'a': 2, 'b': 1}"),
        ("collections.defaultdict(list, {1: [2]})", "{1: [2]}"),
        ("collections.OrderedDict([(1, 2)])", "{1: 2}"),
        ("collections.namedtuple('P', 'x y')(1, 2)", "(1, 2)"),
        ("frozenset([1, 2])", "{1, 2}"),
        ("bytearray(b'x')", "b'x'"),
        ("1 << 70000", "1 << 70000"),
        ("[float('inf'), -0.0]", "[float('inf'), 0]"),
    ] {
        let tests = format!("def check(candidate):\n    assert candidate(1, 2) == {wanted}\n");
        let code = format!("import collections\ndef add(a, b): return {returned}");
        let judged = judged(&sandbox, &problem(&tests), &code);
        assert!(judged.passed, "{returned}: {:?}", judged.failure);
    }
}

/// The tests of HumanEval+ compare with numpy, which need not be installed.
#[test]
fn tests_may_compare_as_numpy_does() {
    let sandbox = open();
    let tests = "
import numpy as np

def is_floats(x):
    if isinstance(x, float):
        return True
    if isinstance(x, (list, tuple)):
        return all(isinstance(i, float) for i in x)
    if isinstance(x, np.ndarray):
        return x.dtype == np.float64 or x.dtype == np.float32
    return False

def assertion(out, exp, atol):
    exact_match = out == exp
    if atol == 0 and is_floats(exp):
        atol = 1e-6
    if not exact_match and atol != 0:
        assert np.allclose(out, exp, rtol=1e-07, atol=atol)
    else:
        assert exact_match

def check(candidate):
    for given, wanted in zip([(0.1, 0.2), (1, 2), ([0.1], [0.2])], [0.3, 3, [0.1, 0.2]]):
        assertion(candidate(*given), wanted, 0)
";
    let right = judged(&sandbox, &problem(tests), "def add(a, b): return a + b");
    assert!(right.passed, "{:?}", right.failure);
    for wrong in [
        "a + b + 0.001",
        "[a, b]",
        "None",
        "'x'",
        "float('nan')",
        "float('inf')",
    ] {
        let code = format!("def add(a, b): return {wrong}");
        assert!(!judged(&sandbox, &problem(tests), &code).passed, "{wrong}");
    }
}
