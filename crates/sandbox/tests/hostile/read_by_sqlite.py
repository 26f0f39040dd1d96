# expect: raises sqlite3.OperationalError
import sqlite3
connection = sqlite3.connect("@SECRET@")
connection.execute("attach '/etc/passwd' as other")
print(connection.execute("select * from sqlite_master").fetchall())
