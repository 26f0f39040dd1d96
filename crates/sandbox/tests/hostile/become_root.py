# expect: raises PermissionError
import os
os.setuid(0)
