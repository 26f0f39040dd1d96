# expect: raises PermissionError
import os
os.listdir(os.path.dirname("@SECRET@"))
