# expect: cut
import os
os.ftruncate(1, 1 << 20)
