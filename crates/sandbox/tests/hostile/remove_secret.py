# expect: raises PermissionError
import os
os.remove("@SECRET@")
