# expect: raises socket.gaierror | raises PermissionError
import socket
socket.getaddrinfo("localhost.example.com", 80)
