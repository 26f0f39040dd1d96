# expect: raises PermissionError
open("/proc/@HOST@/mem", "rb").seek(0)
