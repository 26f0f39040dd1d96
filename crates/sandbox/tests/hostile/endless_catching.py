# expect: killed cpu
while True:
    try:
        while True: pass
    except BaseException:
        pass
