# expect: prints 0 raised
import resource
raised = 0
for name in "AS CPU FSIZE NOFILE NPROC CORE STACK DATA MEMLOCK".split():
    try:
        resource.setrlimit(getattr(resource, "RLIMIT_" + name), (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        raised += 1
    except (OSError, ValueError):
        pass
print(raised, "raised")
