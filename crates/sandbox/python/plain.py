"""Plain values as JSON, exactly: what crosses between the tests and a candidate, and nothing else does.

None, booleans, numbers, text and lists are themselves; every other type is an object with one key that names it. What
comes back is built from these types alone, so that no code of one side ever runs on the other. Instances of subclasses
cross as what they extend.
"""

import json as _json
import struct as _struct

LARGEST = 1 << 25  # bytes of one message
_SMALL = 1 << 64
_SCALARS = (type(None), bool, float)


class NotPlain(Exception):
    """A value of another type."""


class TooLarge(NotPlain):
    """A value that would be plain if there were less of it."""


def pack(value):
    """A value as bytes, its length in front."""
    try:
        text = _json.dumps(_outer(value), separators=(",", ":")).encode("ascii")
    except RecursionError:
        raise TooLarge("a value nested too deeply, or within itself") from None
    if len(text) > LARGEST:
        raise TooLarge("a value of more than %d MiB" % (LARGEST >> 20))
    return _struct.pack("<I", len(text)) + text


def unpack(text):
    """The value that bytes without their length stand for; ValueError where they stand for none."""
    try:
        return _json.loads(text, object_hook=_inner)
    except (TypeError, KeyError, IndexError, AttributeError, RecursionError, OverflowError) as error:
        raise ValueError("no plain value: %s" % error) from None


def _outer(value):
    kind = type(value)
    if kind in _SCALARS:
        return value
    if kind is int:
        return value if -_SMALL < value < _SMALL else {"i": hex(value)}
    if kind is str:
        return _text(value)
    if kind is list:
        return [_outer(item) for item in value]
    return _tagged(value)


def _text(value):
    if value.isascii():
        return value
    try:
        value.encode()
        return value
    except UnicodeEncodeError:  # halves of pairs, which JSON would join
        return {"u": value.encode("utf-8", "surrogatepass").hex()}


def _tagged(value):
    if isinstance(value, tuple):
        return {"t": [_outer(item) for item in tuple.__iter__(value)]}
    if isinstance(value, dict):
        return {"d": [[_outer(key), _outer(item)] for key, item in dict.items(value)]}
    if isinstance(value, (set, frozenset)):
        return {"s" if isinstance(value, set) else "f": [_outer(item) for item in list(value)]}
    if isinstance(value, (bytes, bytearray)):
        return {"b" if isinstance(value, bytes) else "a": bytes(value).hex()}
    if isinstance(value, complex):
        return {"c": [value.real, value.imag]}
    for base, plain in ((int, int.__int__), (float, float.__float__), (str, str.__str__), (list, list)):
        if isinstance(value, base):
            made = plain(value)
            return _outer(made if type(made) is base else base(made))
    raise NotPlain("a value of type %s" % type(value).__name__)


def _inner(tagged):
    ((tag, held),) = tagged.items()
    return _MAKERS[tag](held)


def _pair(held):
    real, imaginary = held
    if type(real) is not float or type(imaginary) is not float:
        raise ValueError("no complex number")
    return complex(real, imaginary)


_MAKERS = {
    "i": lambda held: int(held, 16),
    "u": lambda held: bytes.fromhex(held).decode("utf-8", "surrogatepass"),
    "t": tuple,
    "d": dict,
    "s": set,
    "f": frozenset,
    "b": bytes.fromhex,
    "a": bytearray.fromhex,
    "c": _pair,
}


def receive(read, fd):
    """The bytes of one message, without their length; None at the end of the stream."""
    head = _exactly(read, fd, 4)
    if head is None:
        return None
    (length,) = _struct.unpack("<I", head)
    if length > LARGEST:
        raise ValueError("a message of more than %d MiB" % (LARGEST >> 20))
    return _exactly(read, fd, length)


def _exactly(read, fd, length):
    parts = []
    while length:
        part = read(fd, min(length, 1 << 20))
        if not part:
            return None
        parts.append(part)
        length -= len(part)
    return b"".join(parts)


def transmit(write, fd, message):
    """Writes all of it."""
    view = memoryview(message)
    while view:
        view = view[write(fd, view) :]
