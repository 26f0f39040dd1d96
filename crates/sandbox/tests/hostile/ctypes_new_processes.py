# expect: prints []
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
X86 = __import__("platform").machine() == "x86_64"
def refused(number, *arguments):
    ctypes.set_errno(0)
    return libc.syscall(number, *arguments) == -1 and ctypes.get_errno() == 1
calls = {
    "clone": (56, 220, 17, 0, 0, 0, 0),
    "clone_thread": (56, 220, 0x10f00, 0, 0, 0, 0),
    "clone3": (435, 435, 0, 0),
    "execve": (59, 221, b"/bin/true", 0, 0),
    "execveat": (322, 281, -100, b"/bin/true", 0, 0, 0),
    "unshare": (272, 97, 0x10000000),
    "setns": (308, 268, 0, 0),
}
open_doors = [name for name, (x86, arm, *rest) in calls.items() if not refused(x86 if X86 else arm, *rest)]
print(open_doors)
