# expect: raises PermissionError
open("/proc/@HOST@/environ").read()
