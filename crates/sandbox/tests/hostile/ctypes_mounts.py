# expect: prints []
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
X86 = __import__("platform").machine() == "x86_64"
def refused(number, *arguments):
    ctypes.set_errno(0)
    return libc.syscall(number, *arguments) == -1 and ctypes.get_errno() == 1
calls = {
    "mount": (165, 40, b"x", b"/", b"tmpfs", 0, 0),
    "umount2": (166, 39, b"/", 0),
    "pivot_root": (155, 41, b".", b"."),
    "chroot": (161, 51, b"."),
    "open_tree": (428, 428, 0, b"/", 0),
    "move_mount": (429, 429, 0, 0, 0, 0, 0),
    "fsopen": (430, 430, b"tmpfs", 0),
    "mount_setattr": (442, 442, 0, 0, 0, 0, 0),
    "name_to_handle_at": (303, 264, 0, b"/", 0, 0, 0),
    "open_by_handle_at": (304, 265, 0, 0, 0),
}
open_doors = [name for name, (x86, arm, *rest) in calls.items() if not refused(x86 if X86 else arm, *rest)]
print(open_doors)
