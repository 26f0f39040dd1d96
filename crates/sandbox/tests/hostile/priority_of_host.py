# expect: raises PermissionError
import os
os.setpriority(os.PRIO_PROCESS, @HOST@, 19)
