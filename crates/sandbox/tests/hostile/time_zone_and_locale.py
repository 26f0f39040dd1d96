# expect: prints UTC
import time
print(time.tzname[0])
