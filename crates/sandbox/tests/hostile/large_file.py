# expect: raises OSError
open("x", "wb").write(bytes(1 << 21))
