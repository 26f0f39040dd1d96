# expect: prints hooked
import sys
class Hook:
    def find_spec(self, name, path, target=None):
        sys.stdout.write("hooked\n") if name == "antigravity" else None
sys.meta_path.insert(0, Hook())
try:
    sys.path.clear()
    import antigravity
except ModuleNotFoundError:
    pass
