# expect: raises PermissionError
import os, stat
os.mknod("device", stat.S_IFBLK | 0o600, os.makedev(254, 0))
