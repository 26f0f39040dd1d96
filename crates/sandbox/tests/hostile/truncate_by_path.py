# expect: raises PermissionError
import os
os.truncate("@SECRET@", 0)
