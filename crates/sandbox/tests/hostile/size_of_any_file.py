# expect: prints seen
# What Landlock does not hide, and docs/sandbox.md says so.
import os
assert os.stat("@SECRET@").st_size
print("seen")
