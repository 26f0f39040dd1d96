# expect: raises OSError
open("x", "wb").truncate(1 << 40)
