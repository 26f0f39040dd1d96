# expect: raises PermissionError
from multiprocessing import shared_memory
shared_memory.SharedMemory(create=True, size=1 << 30)
