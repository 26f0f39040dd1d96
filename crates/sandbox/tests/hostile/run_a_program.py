# expect: raises PermissionError
import os
os.execv("/usr/bin/id", ["id"])
