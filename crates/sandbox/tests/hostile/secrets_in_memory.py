# expect: prints 0 found
import gc, os, sys
needle = "".join(["hidden", "-from-", "programs"])  # in the tests' environment

def held(thing):
    if isinstance(thing, dict):
        return [*thing, *thing.values()]
    return thing if isinstance(thing, (list, tuple)) else [thing]

def tells(thing):
    return isinstance(thing, (str, bytes)) and thing is not needle and (needle if isinstance(thing, str) else needle.encode()) in thing

frame, things = sys._getframe(), gc.get_objects() + [os.environ, os.environb, sys.argv, getattr(sys, "orig_argv", [])]
while frame:
    things += [frame.f_locals, frame.f_globals, frame.f_code.co_consts]
    frame = frame.f_back
print(sum(tells(one) for thing in things for one in held(thing)), "found")
