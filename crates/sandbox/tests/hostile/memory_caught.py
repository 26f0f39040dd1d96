# expect: prints survived
held = []
try:
    while True: held.append(bytearray(1 << 24))
except MemoryError:
    held.clear()
print("survived")
