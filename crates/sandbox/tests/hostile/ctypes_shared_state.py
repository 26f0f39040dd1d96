# expect: prints []
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
X86 = __import__("platform").machine() == "x86_64"
def refused(number, *arguments):
    ctypes.set_errno(0)
    return libc.syscall(number, *arguments) == -1 and ctypes.get_errno() == 1
calls = {
    "shmget": (29, 194, 0, 4096, 0x3b6),
    "semget": (64, 190, 0, 1, 0x3b6),
    "msgget": (68, 186, 0, 0x3b6),
    "mq_open": (240, 180, b"x", 0x42, 384, 0),
    "memfd_create": (319, 279, b"x", 0),
    "memfd_secret": (447, 447, 0),
    "inotify_init1": (294, 26, 0),
    "fanotify_init": (300, 262, 0, 0),
    "signalfd4": (289, 74, -1, 0, 8, 0),
    "timer_create": (222, 107, 0, 0, 0),
    "splice": (275, 76, 0, 0, 0, 0, 0, 0),
    "vmsplice": (278, 75, 0, 0, 0, 0),
    "fallocate": (285, 47, 1, 0, 0, 1),
    "socket": (41, 198, 2, 1, 0),
    "sendto": (44, 206, 0, 0, 0, 0, 0, 0),
    "flock": (73, 32, 0, 2),
}
open_doors = [name for name, (x86, arm, *rest) in calls.items() if not refused(x86 if X86 else arm, *rest)]
print(open_doors)
