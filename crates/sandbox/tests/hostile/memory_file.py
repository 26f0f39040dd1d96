# expect: raises PermissionError
import os
os.memfd_create("x")
