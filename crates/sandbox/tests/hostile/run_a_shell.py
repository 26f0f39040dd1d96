# expect: prints stopped
import os
assert os.system("id > out") != 0 and not os.path.exists("out")
print("stopped")
