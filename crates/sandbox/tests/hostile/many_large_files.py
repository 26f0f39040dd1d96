# expect: killed scratch
import time
for i in range(60): open("f%d" % i, "wb").write(bytes(1 << 20))
time.sleep(100)
