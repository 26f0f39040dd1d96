# expect: raises PermissionError
import fcntl, os
fcntl.fcntl(os.pipe()[0], fcntl.F_SETOWN, @HOST@)
