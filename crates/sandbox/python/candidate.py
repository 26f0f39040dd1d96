"""What runs in the process of a program that nobody trusts."""

import atexit
import os
import sys
import types

CALLS, ANSWERS = 4, 5  # descriptors, where a program answers calls


def serve(job):
    if job["entry_point"] is None:
        run_alone(job["code"])
    answer_calls(job["code"], job["entry_point"])


def run_alone(code, leave=os._exit):
    """Runs a program as `python3 program.py` would."""
    status = run(code, "__main__")[1]
    try:
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
    except BaseException:
        status = status or 120
    leave(status)


def run(code, name):
    """A program's names and exit status."""
    module = types.ModuleType(name)
    sys.modules[name] = module
    try:
        exec(compile(code, "<program>", "exec", dont_inherit=True), module.__dict__)
        return module, 0
    except SystemExit as leaving:
        if leaving.code is None or isinstance(leaving.code, int):
            return module, (leaving.code or 0) & 255
        print(leaving.code, file=sys.stderr)
    except BaseException as error:
        show(error)
    return module, 1


def show(error):
    """Writes what ended a program as Python would, or its name alone where there is no memory for more."""
    trace = error.__traceback__
    error.__traceback__ = trace and trace.tb_next
    try:
        import traceback  # seldom needed, and dear to have in every fork

        traceback.print_exception(type(error), error, error.__traceback__, limit=-20)
    except BaseException:
        os.write(2, type(error).__name__.encode() + b"\n")


def answer_calls(code, entry_point, read=os.read, write=os.write, leave=os._exit):
    """Defines what a program defines, and calls its function with what comes until nothing more comes."""
    error = define(code, entry_point)
    answer(write, error or ["ready"])
    function = None if error else sys.modules["candidate"].__dict__[entry_point]
    while not error:
        message = receive(read, CALLS)
        if message is None:
            break
        arguments, named = unpack(message)
        try:
            reply = ["value", function(*arguments, **named)]
        except BaseException as raised:
            reply = ["raised", type(raised).__name__, tell(raised)]
        answer(write, reply)
    leave(0)


def define(code, entry_point):
    """Runs a candidate's top level; what it failed with, if it did."""
    module = types.ModuleType("candidate")
    sys.modules["candidate"] = module
    try:
        compiled = compile(code, "<candidate>", "exec", dont_inherit=True)
    except BaseException as error:  # a SyntaxError, or a parser that gave up
        return ["syntax", type(error).__name__, tell(error)]
    try:
        exec(compiled, module.__dict__)
    except BaseException as error:
        return ["raised", type(error).__name__, tell(error)]
    if not callable(module.__dict__.get(entry_point)):
        return ["undefined", entry_point, ""]


def tell(error):
    try:
        return str(error)[:1000]
    except BaseException:
        return ""


def answer(write, reply):
    try:
        message = pack(reply)
    except NotPlain as error:
        message = pack(["odd", str(error), ""])
    except BaseException as error:
        message = pack(["raised", type(error).__name__, tell(error)])
    transmit(write, ANSWERS, message)
