# expect: prints {} 0
import ctypes, os
environ = ctypes.POINTER(ctypes.c_char_p).in_dll(ctypes.CDLL(None), "environ")
count = 0
while environ and environ[count]:
    count += 1
print(dict(os.environ), count)
