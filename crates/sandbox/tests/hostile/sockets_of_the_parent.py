# expect: prints [Errno 1] [Errno 9]
# The zygote's socket object is there, in the frames above, but neither its descriptor nor the call that sends.
import os, sys
frame = sys._getframe()
while "control" not in frame.f_locals:
    frame = frame.f_back
control = frame.f_locals["control"]
for attempt in (lambda: control.send(b"S"), lambda: os.write(control.fileno(), b"S")):
    try:
        print("sent", attempt())
    except OSError as error:
        print(str(error)[:9], end=" ")
