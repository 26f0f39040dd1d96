# expect: raises SyntaxError | raises ValueError
exec("x = 1\0")
