# expect: killed memory | crashed | raises RecursionError
import sys
sys.setrecursionlimit(10 ** 9)
value = []
for _ in range(10 ** 6): value = [value]
repr(value)
