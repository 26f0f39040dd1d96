# expect: prints -1
import ctypes, platform
libc = ctypes.CDLL(None, use_errno=True)
number = 0x40000000 + 57  # fork, as x32 programs call it
print(libc.syscall(number) if platform.machine() == "x86_64" else -1)
