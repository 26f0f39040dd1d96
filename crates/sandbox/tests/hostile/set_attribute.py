# expect: raises PermissionError
import os
os.setxattr(".", "user.x", b"x")
