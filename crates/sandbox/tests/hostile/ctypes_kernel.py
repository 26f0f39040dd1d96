# expect: prints []
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
X86 = __import__("platform").machine() == "x86_64"
def refused(number, *arguments):
    ctypes.set_errno(0)
    return libc.syscall(number, *arguments) == -1 and ctypes.get_errno() == 1
calls = {
    "bpf": (321, 280, 0, 0, 0),
    "perf_event_open": (298, 241, 0, 0, 0, 0, 0),
    "io_uring_setup": (425, 425, 8, 0),
    "userfaultfd": (323, 282, 0),
    "add_key": (248, 217, 0, 0, 0, 0, 0),
    "keyctl": (250, 219, 0, 0, 0, 0, 0),
    "init_module": (175, 105, 0, 0, 0),
    "finit_module": (313, 273, 0, 0, 0),
    "kexec_load": (246, 104, 0, 0, 0, 0),
    "reboot": (169, 142, 0, 0, 0, 0),
    "personality": (135, 92, 0x0040000),
    "syslog": (103, 116, 3, 0, 0),
    "swapon": (167, 224, 0, 0),
    "sethostname": (170, 161, b"x", 1),
    "settimeofday": (164, 170, 0, 0),
    "acct": (163, 89, 0),
    "quotactl": (179, 60, 0, 0, 0, 0),
}
open_doors = [name for name, (x86, arm, *rest) in calls.items() if not refused(x86 if X86 else arm, *rest)]
print(open_doors)
