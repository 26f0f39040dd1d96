# expect: prints 0 opened
ways = ["../../../../etc/passwd", "/proc/self/root/etc/passwd", "/proc/self/cwd/../../etc/passwd",
        "/dev/fd/../../etc/passwd", "/dev/stdin/../passwd", "//etc//passwd", "/usr/lib/../../etc/passwd",
        "/proc/@HOST@/root@SECRET@", "/proc/thread-self/root@SECRET@"]
opened = 0
for way in ways:
    try:
        opened += len(open(way).read(1))
    except OSError:
        pass
print(opened, "opened")
