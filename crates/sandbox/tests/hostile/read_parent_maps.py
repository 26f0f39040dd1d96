# expect: raises PermissionError
import os
open("/proc/%d/maps" % os.getppid()).read()
