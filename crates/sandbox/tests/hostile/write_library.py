# expect: raises PermissionError
import os
open(os.__file__, "a")
