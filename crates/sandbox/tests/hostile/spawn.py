# expect: raises PermissionError | raises BlockingIOError
import os
os.posix_spawn("/usr/bin/id", ["id"], {})
