# expect: prints done
import builtins, json, os, sys
write, leave = os.write, os._exit
builtins.print = builtins.len = builtins.open = json.loads = os.fork = lambda *a, **k: None
sys.modules.clear()
write(1, b"done\n")
leave(0)
