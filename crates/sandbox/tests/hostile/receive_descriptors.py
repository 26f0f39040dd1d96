# expect: raises PermissionError
import socket
# Nothing that could be a socket is there, and the calls of sockets are not either.
socket.socket(fileno=0).recvmsg(1, 100)
