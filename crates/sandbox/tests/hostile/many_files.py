# expect: killed scratch
import time
for i in range(1000): open("f%d" % i, "w").close()
time.sleep(100)
