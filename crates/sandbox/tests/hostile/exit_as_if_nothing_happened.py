# expect: prints fine
import os
os.write(1, b"fine\n")
os._exit(0)
