# expect: prints going
class Held:
    def __del__(self):
        while True: pass
import sys
sys.held = Held()
print("going")
