# expect: prints nothing
import sys
print(sys.stdin.read() or "nothing")
