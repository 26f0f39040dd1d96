# expect: raises PermissionError
import os
os.link("@SECRET@", "link")
