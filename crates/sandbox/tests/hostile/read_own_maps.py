# expect: raises PermissionError
open("/proc/self/maps").read()
