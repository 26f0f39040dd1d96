# expect: killed cpu
import re
re.match(r"(a+)+$", "a" * 64 + "b")
