# expect: raises PermissionError
import os
os.open("@SECRET@", os.O_RDONLY | os.O_TRUNC)
