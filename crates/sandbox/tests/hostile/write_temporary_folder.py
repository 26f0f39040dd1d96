# expect: raises PermissionError
open("/tmp/promptimal-hostile", "w")
