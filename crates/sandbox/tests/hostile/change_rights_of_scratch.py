# expect: raises PermissionError
import os
os.chmod(".", 0)
