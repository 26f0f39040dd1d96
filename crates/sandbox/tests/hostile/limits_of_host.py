# expect: raises PermissionError
import resource
resource.prlimit(@HOST@, resource.RLIMIT_CPU, (1, 1))
