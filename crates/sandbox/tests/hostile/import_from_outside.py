# expect: raises ModuleNotFoundError
import os, sys
sys.path.insert(0, os.path.dirname("@SECRET@"))
import outside
