# expect: prints traced
import sys
def trace(frame, event, argument):
    return trace
sys.settrace(trace)
frame = sys._getframe()
while frame:
    frame.f_trace = trace
    frame = frame.f_back
print("traced")
