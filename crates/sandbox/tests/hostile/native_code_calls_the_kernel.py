# expect: prints -1 | prints not this processor
# The filter is the kernel's: it does not matter who calls.
import ctypes, mmap, platform
if platform.machine() != "x86_64":
    print("not this processor")
    raise SystemExit
code = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
code.write(b"\xb8\x39\x00\x00\x00\x0f\x05\xc3")  # mov eax, 57 (fork); syscall; ret
run = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(code)))
print(run())
