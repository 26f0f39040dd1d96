# expect: raises PermissionError
import socket
socket.socket(socket.AF_INET6, socket.SOCK_STREAM)
