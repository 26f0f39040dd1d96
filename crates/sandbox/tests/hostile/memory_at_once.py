# expect: killed memory
bytearray(1 << 40)
