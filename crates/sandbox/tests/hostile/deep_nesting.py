# expect: raises SyntaxError | raises MemoryError | crashed
exec("(" * 300)
