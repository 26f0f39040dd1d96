# expect: raises PermissionError
import os, signal
signal.pidfd_send_signal(os.pidfd_open(@HOST@), 9)
