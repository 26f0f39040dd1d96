# expect: raises PermissionError
# The kernel signals a descriptor's owner when something can be read: here, with the signal that kills.
import fcntl, os
reading, writing = os.pipe()
fcntl.fcntl(reading, 10, 9)  # F_SETSIG
fcntl.fcntl(reading, fcntl.F_SETOWN, @HOST@)
fcntl.fcntl(reading, fcntl.F_SETFL, os.O_ASYNC)
os.write(writing, b"x")
print("sent")
