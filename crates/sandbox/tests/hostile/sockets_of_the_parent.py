# expect: raises PermissionError
# The zygote's socket object is there, but its descriptor is not.
import gc, socket
for held in gc.get_objects():
    if isinstance(held, socket.socket):
        held.sendall(b"S")
raise PermissionError("none was found")
