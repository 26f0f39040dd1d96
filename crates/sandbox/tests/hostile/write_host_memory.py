# expect: raises PermissionError
open("/proc/@HOST@/mem", "r+b")
