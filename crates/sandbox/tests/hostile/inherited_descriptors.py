# expect: prints [0, 1, 2]
import os
def there(fd):
    try:
        os.fstat(fd)
    except OSError:
        return False
    return True
print(list(filter(there, range(4096))))
