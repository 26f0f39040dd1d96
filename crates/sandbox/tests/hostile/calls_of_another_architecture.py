# expect: crashed | prints not this processor
# int 0x80 makes the calls of 32-bit programs, whose numbers mean something else.
import ctypes, mmap, platform
if platform.machine() != "x86_64":
    print("not this processor")
    raise SystemExit
code = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
code.write(b"\xb8\x02\x00\x00\x00\xcd\x80\xc3")  # mov eax, 2 (fork); int 0x80; ret
run = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(code)))
print(run())
