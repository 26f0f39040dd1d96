# expect: raises OSError
held = [open("/dev/null") for _ in range(1000)]
