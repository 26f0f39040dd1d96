# expect: raises PermissionError
import resource
print(resource.prlimit(@HOST@, resource.RLIMIT_CPU))
