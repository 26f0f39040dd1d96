# expect: raises PermissionError
# Every user may read this file; programs may not.
open("@SECRET@").read()
