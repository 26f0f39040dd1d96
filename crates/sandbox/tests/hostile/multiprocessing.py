# expect: raises PermissionError | raises OSError
import multiprocessing
multiprocessing.Pool(2)
