# expect: killed wall
# wall: 1
import os
reading, _ = os.pipe()
os.read(reading, 1)
