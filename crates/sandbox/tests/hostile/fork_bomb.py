# expect: prints 0 forks
import os
forks = 0
for _ in range(1000):
    try:
        if os.fork() == 0:
            while True:
                os.fork()
        forks += 1
    except OSError:
        pass
print(forks, "forks")
