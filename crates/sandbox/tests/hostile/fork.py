# expect: raises PermissionError
import os
os.fork()
