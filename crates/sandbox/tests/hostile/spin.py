# expect: killed cpu
while True: pass
