# expect: killed cpu
import atexit
@atexit.register
def never():
    while True: pass
