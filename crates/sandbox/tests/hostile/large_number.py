# expect: killed cpu | killed memory
print(len(str(9 ** 9 ** 9)))
