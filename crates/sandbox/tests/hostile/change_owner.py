# expect: raises PermissionError
import os
os.chown(".", 0, 0)
