# expect: prints 0 threads
import _thread, time
threads = 0
for _ in range(1000):
    try:
        _thread.start_new_thread(time.sleep, (100,))
        threads += 1
    except RuntimeError:
        pass
print(threads, "threads")
