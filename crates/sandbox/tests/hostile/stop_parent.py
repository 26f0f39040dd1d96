# expect: raises PermissionError
import os, signal
os.kill(os.getppid(), signal.SIGSTOP)
