# expect: raises OSError
import mmap
[mmap.mmap(-1, 1 << 26) for _ in range(100)]
