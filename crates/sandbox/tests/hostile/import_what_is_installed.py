# expect: raises ModuleNotFoundError
import sys
sys.path += ["/usr/lib/python3/dist-packages", "/usr/local/lib/python3/site-packages"]
import pip
