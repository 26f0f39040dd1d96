"""The warm interpreter of a slot: it forks one child for each program, and never sees a program itself.

It is confined already when it starts: files, user, privileges. Each child takes its limits and its filter of system
calls before any of what it runs is compiled. Over the socket come a byte and the child's descriptors; what goes back is
how the child ended. Another byte has the child killed, and the end of the socket ends everything.
"""

import ctypes
import fcntl
import gc
import importlib
import json as _json
import os
import resource
import select
import signal
import struct

import _socket  # the part in C: the other one loads much that is not needed

PR_SET_PDEATHSIG, PR_GET_DUMPABLE, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 1, 3, 22, 2
LIBC = ctypes.CDLL(None, use_errno=True)
ENDED, INT = struct.Struct("<iiQQ"), struct.Struct("i")
FIRST_FREE = 10  # numbers below are for children


class Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("instructions", ctypes.c_void_p)]


def forever(modules, instructions):
    control = aside()
    for name in modules:
        try:
            importlib.import_module(name)
        except ImportError:
            pass
    code = ctypes.create_string_buffer(instructions, len(instructions))
    program = Program(len(instructions) // 8, ctypes.addressof(code))
    rehearse()
    gc.collect()
    gc.freeze()
    control.sendall(b"R")
    parent = os.getpid()
    while True:
        word, fds = receive_start(control)
        if not word:
            os._exit(0)
        if word == b"K":  # the child had just ended by itself
            continue
        start(control, parent, program, fds)


def rehearse():
    """What a child does for the first time is dear, and done here: the compiler makes its types, calls their caches."""
    LIBC.prctl(PR_GET_DUMPABLE, 0, 0, 0, 0)
    resource.setrlimit(resource.RLIMIT_CORE, resource.getrlimit(resource.RLIMIT_CORE))
    _json.loads('{"a": [1, 2.5, null]}')
    exec(compile("def f(x): return [x]\nf(1)", "<rehearsal>", "exec"), {})


def aside():
    """The control socket comes as descriptor 0; low numbers are taken, so that none is given to what comes later."""
    control = _socket.socket(fileno=fcntl.fcntl(0, fcntl.F_DUPFD_CLOEXEC, 40))
    null = os.open("/dev/null", os.O_RDWR)
    for fd in (0, *range(3, FIRST_FREE)):
        if fd != null:
            os.dup2(null, fd)
    return control


def receive_start(control):
    """A byte, and the descriptors that come with it."""
    word, ancillary, _, _ = control.recvmsg(1, _socket.CMSG_SPACE(8 * INT.size))
    fds = [fd for level, kind, data in ancillary for (fd,) in INT.iter_unpack(data)]
    return word, fds


def start(control, parent, program, fds):
    try:
        pid = os.fork()
    except OSError as error:
        pid = -error.errno
    if pid == 0:
        child(parent, program, fds)
    for fd in fds:
        os.close(fd)
    control.sendall(ENDED.pack(0, -pid, 0, 0) if pid < 0 else wait(control, pid))


def wait(control, pid):
    """How a child ended, which the other end of the socket may hasten."""
    handle = os.pidfd_open(pid)
    waiting = select.poll()
    waiting.register(handle, select.POLLIN)
    waiting.register(control, select.POLLIN)
    while True:
        ready = [fd for fd, _ in waiting.poll()]
        if handle in ready:
            break
        word = control.recv(1)
        os.kill(pid, signal.SIGKILL)
        if not word:
            os.wait4(pid, 0)
            os._exit(0)
    os.close(handle)
    _, status, used = os.wait4(pid, 0)
    return ENDED.pack(status, 0, int((used.ru_utime + used.ru_stime) * 1e6), used.ru_maxrss)


def child(parent, program, fds):
    """Descriptors 1, 2, 3 and on are the ones that came, in order: output, errors, what to do, and more."""
    try:
        LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(70)
        for number, fd in enumerate(fds, 1):
            os.dup2(fd, number)
        os.closerange(len(fds) + 1, 256)
        job = _json.loads(os.pread(3, os.fstat(3).st_size, 0))
        limit(job["limits"])
        os.environ.clear()
        if LIBC.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(program), 0, 0) != 0:
            os._exit(71)
        # An empty job says that it began confined: no status could, which a program may choose.
        os.ftruncate(3, 0)
        os.close(3)
    except BaseException:
        os._exit(72)
    serve(job)


def limit(limits):
    both = lambda which, most: resource.setrlimit(which, (most, most))
    both(resource.RLIMIT_AS, limits["memory"])
    # The first of the two tells by its signal what it was; nobody can catch the second.
    resource.setrlimit(resource.RLIMIT_CPU, (limits["cpu"], limits["cpu"] + 1))
    both(resource.RLIMIT_FSIZE, limits["file"])
    both(resource.RLIMIT_NOFILE, 32)
    both(resource.RLIMIT_NPROC, 0)
