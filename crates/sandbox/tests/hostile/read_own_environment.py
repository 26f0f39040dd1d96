# expect: raises PermissionError
open("/proc/self/environ").read()
