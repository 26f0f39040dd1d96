# expect: raises PermissionError
import socket
socket.socketpair()
