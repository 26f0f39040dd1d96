# expect: raises OSError | raises PermissionError
import os
open("x", "w").close()
os.rename("x", "/tmp/promptimal-hostile")
