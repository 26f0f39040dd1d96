# expect: raises PermissionError
open("/dev/shm/promptimal-hostile", "w")
