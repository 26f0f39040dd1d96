# expect: raises PermissionError
import os
os.kill(@HOST@, 9)
