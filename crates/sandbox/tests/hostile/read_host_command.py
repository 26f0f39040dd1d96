# expect: raises PermissionError
open("/proc/@HOST@/cmdline").read()
