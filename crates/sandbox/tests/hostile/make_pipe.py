# expect: raises PermissionError
import os
os.mkfifo("pipe")
