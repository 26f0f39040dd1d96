# expect: raises PermissionError
open("/proc/@HOST@/oom_score_adj", "w").write("1000")
