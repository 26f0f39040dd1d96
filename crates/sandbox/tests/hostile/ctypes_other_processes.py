# expect: prints []
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
X86 = __import__("platform").machine() == "x86_64"
def refused(number, *arguments):
    ctypes.set_errno(0)
    return libc.syscall(number, *arguments) == -1 and ctypes.get_errno() == 1
calls = {
    "ptrace": (101, 117, 16, @HOST@, 0, 0),
    "process_vm_readv": (310, 270, @HOST@, 0, 0, 0, 0, 0),
    "process_vm_writev": (311, 271, @HOST@, 0, 0, 0, 0, 0),
    "pidfd_open": (434, 434, @HOST@, 0),
    "pidfd_getfd": (438, 438, 0, 0, 0),
    "kcmp": (312, 272, @HOST@, @HOST@, 0, 0, 0),
    "rt_sigqueueinfo": (129, 138, @HOST@, 9, 0),
    "tgkill": (234, 131, @HOST@, @HOST@, 9),
    "tkill": (200, 130, @HOST@, 9),
    "process_madvise": (440, 440, 0, 0, 0, 0, 0),
    "get_robust_list": (274, 100, @HOST@, 0, 0),
    "move_pages": (279, 239, @HOST@, 0, 0, 0, 0, 0),
}
open_doors = [name for name, (x86, arm, *rest) in calls.items() if not refused(x86 if X86 else arm, *rest)]
print(open_doors)
