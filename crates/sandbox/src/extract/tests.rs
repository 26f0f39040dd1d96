//! Replies as models write them, and the programs they must become.

use super::extract;

const PROMPT: &str =
    "from typing import List\n\n\ndef twice(n: int) -> int:\n    \"\"\" Doubles. \"\"\"\n";
const RIGHT: &str = "from typing import List\n\n\ndef twice(n: int) -> int:\n    \"\"\" Doubles. \"\"\"\n    return n * 2\n";

fn program(reply: &str) -> String {
    extract(reply, PROMPT, "twice")
}

/// The reply defines the function, and everything else in it is gone.
fn whole(reply: &str, code: &str) {
    let expected = format!("{}\n\n{code}\n", PROMPT.trim_end());
    assert_eq!(program(reply), expected, "of {reply:?}");
}

#[test]
fn bodies_go_under_the_signature() {
    for reply in [
        "    return n * 2\n",
        "    return n * 2",
        "\n    return n * 2\n\n",
        "return n * 2",
        "  return n * 2",
        "\treturn n * 2",
        "        return n * 2",
        "```python\n    return n * 2\n```",
        "```\nreturn n * 2\n```",
        "    return n * 2\n```\nThis doubles the number.",
        "return n * 2\n\nThis doubles the number.",
        "The body is:\n\n    return n * 2\n\nIt doubles.",
    ] {
        assert_eq!(program(reply).trim_end(), RIGHT.trim_end(), "of {reply:?}");
    }
}

#[test]
fn bodies_of_several_lines_keep_their_shape() {
    let expected = RIGHT.replace(
        "    return n * 2",
        "    for _ in range(2):\n        n += 1\n    return n",
    );
    for reply in [
        "    for _ in range(2):\n        n += 1\n    return n",
        "for _ in range(2):\n    n += 1\nreturn n",
        // The start of the reply was trimmed.
        "for _ in range(2):\n        n += 1\n    return n",
        "```py\n  for _ in range(2):\n      n += 1\n  return n\n```",
    ] {
        assert_eq!(program(reply), expected, "of {reply:?}");
    }
    let simple = RIGHT.replace("    return n * 2", "    m = n\n    return m + n");
    for reply in ["m = n\n    return m + n", "m = n\nreturn m + n"] {
        assert_eq!(program(reply), simple, "of {reply:?}");
    }
}

#[test]
fn imports_before_a_body_go_to_the_front() {
    let expected = format!("import math\n{RIGHT}");
    assert_eq!(program("import math\n    return n * 2"), expected);
    assert_eq!(program("```\nimport math\nreturn n * 2\n```"), expected);
}

#[test]
fn whole_functions_take_the_place_of_the_unfinished_one() {
    let code = "def twice(n):\n    return n + n";
    for reply in [
        code.to_owned(),
        format!("Here it is:\n\n{code}\n\nIt adds the number to itself."),
        format!("```python\n{code}\n```"),
        format!("Sure!\n```python\n{code}\n```\nUse it so:\n```python\nprint(twice(2))\n```"),
        format!("~~~\n{code}\n~~~"),
        format!("````python\n{code}\n````"),
        // Cut before its end.
        format!("```python\n{code}"),
        // In a list.
        "1. Code:\n   ```python\n   def twice(n):\n       return n + n\n   ```".to_owned(),
        format!("First try:\n```\ndef twice(n):\n    return n\n```\nBetter:\n```\n{code}\n```"),
    ] {
        whole(&reply, code);
    }
}

#[test]
fn imports_and_helpers_come_along() {
    let code = "import math\n\ndef half(n):\n    return n / 2\n\ndef twice(n):\n    return n + n";
    whole(&format!("```python\n{code}\n```"), code);
    whole(&format!("You need this.\n{code}\nThat is all."), code);
}

#[test]
fn imports_from_the_future_come_first() {
    let code = "from __future__ import annotations\ndef twice(n):\n    return n + n";
    let program = program(code);
    assert!(program.starts_with("from __future__ import annotations\nfrom typing"));
}

#[test]
fn lines_of_a_string_are_no_prose() {
    let code = "def twice(n):\n    text = \"\"\"\nHello there\n\"\"\"\n    return n + n";
    whole(code, code);
}

#[test]
fn a_prompt_without_description_is_closed() {
    let program = extract("def f(x):\n    return 1", "def f(x):\n", "f");
    assert_eq!(program, "def f(x):\n    pass\n\ndef f(x):\n    return 1\n");
}

#[test]
fn a_prompt_in_words_is_left_out() {
    let reply = "```python\ndef f(x):\n    return 1\n```";
    let program = extract(reply, "Write a function f of x.", "f");
    assert_eq!(program, "def f(x):\n    return 1\n");
}

#[test]
fn other_functions_with_longer_names_are_not_it() {
    let program = program("```\ndef twice_as_much(n):\n    return 2 * n\n```");
    assert!(!program.contains("pass\n\ndef twice_as_much"));
}

#[test]
fn nothing_is_a_program_that_fails() {
    for reply in ["", "\n\n"] {
        assert!(program(reply).contains("    pass"), "of {reply:?}");
    }
    assert!(program("I cannot help with that.").starts_with("from typing"));
}
