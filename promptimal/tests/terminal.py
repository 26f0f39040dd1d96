"""Runs a program in a terminal of its own and types into it.

    python3 terminal.py '[["which model?", "\\r"], …]' PROGRAM ARGUMENT…

Each text is typed once the words before it have been seen. Prints all that was shown; the exit code is the program's.
"""

import json
import os
import pty
import select
import sys
import time

LIMIT = 60.0


def main():
    steps = json.loads(sys.argv[1])
    child, terminal = pty.fork()
    if child == 0:
        os.execvp(sys.argv[2], sys.argv[2:])
    shown, seen, end = b"", 0, time.monotonic() + LIMIT
    while time.monotonic() < end:
        if select.select([terminal], [], [], 0.1)[0]:
            try:
                more = os.read(terminal, 65536)
            except OSError:
                break
            if not more:
                break
            shown += more
        if steps:
            words, keys = steps[0]
            at = shown.find(words.encode(), seen)
            if at >= 0:
                seen = at + len(words.encode())
                os.write(terminal, keys.encode())
                steps.pop(0)
    else:
        os.kill(child, 9)
    sys.stdout.buffer.write(shown)
    sys.stdout.flush()
    status = os.waitpid(child, 0)[1]
    if steps:
        print("\nnever seen:", steps[0][0])
        sys.exit(99)
    sys.exit(os.waitstatus_to_exitcode(status))


main()
