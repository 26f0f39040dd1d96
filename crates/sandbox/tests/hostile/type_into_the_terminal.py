# expect: raises PermissionError
import fcntl
fcntl.ioctl(0, 0x5412, b"x")  # TIOCSTI
