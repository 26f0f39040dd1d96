# expect: prints 0 opened
import os
opened = 0
for name in "mem kmem kmsg zero full random tty ptmx fuse kvm net/tun loop-control sda vda nvme0 shm/x".split():
    try:
        os.open("/dev/" + name, os.O_RDONLY)
        opened += 1
    except OSError:
        pass
print(opened, "opened")
