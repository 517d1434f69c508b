"""Entry of all hooks: one event on stdin, at most one JSON answer on stdout, exit 0 whatever happens.

The launcher has it run with the arguments FOLDER EVENT CLIENT_PID. Standard library, Python 3.9. It is compiled each time, so
it is short.
"""

import marshal
import posix
import sys

here, file, index = sys.argv.pop(1), None, None
try:
    try:
        magic = sys.modules["_frozen_importlib_external"].MAGIC_NUMBER.hex()
        file = posix.open("%s/__pycache__/hooks.%s.kept" % (here, magic), posix.O_RDONLY)
        code, index = marshal.loads(posix.read(file, 65536))
        exec(code)
    except Exception:  # nothing is kept yet
        sys.path.insert(0, here)
        from preload import start
    start(here, file, index)
finally:
    posix._exit(0)
