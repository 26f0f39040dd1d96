"""Says where this interpreter's library is and which shared objects it maps, as one line of JSON."""

import importlib
import json
import os
import sys

# Modules in C that are not loaded ahead: their shared objects must be known, or importing them fails.
SELDOM = (
    "_asyncio _blake2 _bz2 _contextvars _csv _ctypes _decimal _elementtree _hashlib _heapq _lsprof _lzma _md5 _opcode"
    " _pickle _posixshmem _queue _sha1 _sha256 _sha3 _sha512 _socket _sqlite3 _ssl _statistics _uuid _zoneinfo array"
    " audioop binascii cmath fcntl grp mmap pyexpat resource select termios unicodedata zlib"
)


def load(names):
    for name in names:
        try:
            importlib.import_module(name)
        except ImportError:
            pass


def objects():
    """Every file that is mapped."""
    with open("/proc/self/maps") as maps:
        paths = {line.split(maxsplit=5)[5].strip() for line in maps if line.count("/")}
    return sorted(path for path in paths if path.startswith("/") and os.path.isfile(path))


def library():
    """Entries of the standard library, without the packages that somebody installed into it."""
    root = os.path.realpath(os.path.dirname(os.__file__))
    inside = lambda path: path == root or path.startswith(root + os.sep)
    entries = (os.path.realpath(os.path.join(root, name)) for name in os.listdir(root) if not name.endswith("-packages"))
    return root, sorted(filter(inside, entries))


load(sys.argv[1:])
load(SELDOM.split())
root, entries = library()
told = {
    "program": os.path.realpath(sys.executable),
    "version": list(sys.version_info[:3]),
    "objects": objects(),
    "library": entries,
    "folders": [root],
}
print(json.dumps(told))
