# expect: raises PermissionError
import os
os.sched_setaffinity(@HOST@, {0})
