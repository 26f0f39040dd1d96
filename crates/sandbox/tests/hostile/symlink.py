# expect: raises PermissionError
import os
os.symlink("@SECRET@", "link")
print(open("link").read())
