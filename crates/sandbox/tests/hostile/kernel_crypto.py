# expect: raises PermissionError
import socket
socket.socket(38, socket.SOCK_SEQPACKET)
