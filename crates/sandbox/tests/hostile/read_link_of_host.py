# expect: raises PermissionError
import os
os.readlink("/proc/@HOST@/exe")
