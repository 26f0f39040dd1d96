# expect: raises PermissionError
import os
os.mkdir("folder")
