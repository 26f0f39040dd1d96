# expect: raises PermissionError
import os
os.listdir("..")
