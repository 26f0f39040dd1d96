# expect: raises PermissionError
import os
folder = os.open("/etc", os.O_PATH)
os.open("passwd", os.O_RDONLY, dir_fd=folder)
