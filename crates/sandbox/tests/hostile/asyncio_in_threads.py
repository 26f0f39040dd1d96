# expect: raises PermissionError
import asyncio, time
asyncio.run(asyncio.to_thread(time.sleep, 0))
