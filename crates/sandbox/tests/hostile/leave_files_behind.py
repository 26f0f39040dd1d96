# expect: prints left
open("left", "w").write("for the next one")
print("left")
