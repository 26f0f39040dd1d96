# expect: raises PermissionError
import os
os.listdir("/proc/self/fd")
