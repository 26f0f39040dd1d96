# expect: raises PermissionError
import os
os.utime("@SECRET@", (0, 0))
