# expect: raises PermissionError
import os
os.chroot(".")
