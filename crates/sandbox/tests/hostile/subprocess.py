# expect: raises PermissionError | raises BlockingIOError
import subprocess
subprocess.run(["id"])
