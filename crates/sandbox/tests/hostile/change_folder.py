# expect: raises PermissionError
import os
os.chdir("/")
