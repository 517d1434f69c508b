"""Preloaded code: the package's compiled files kept in one, so that a hook opens and checks them at a stroke.

Python finds, opens and checks each module by itself, which for thirty of them costs more than all that the hook does. A
module is taken from here only while its source is as it was; what is missing or has changed is loaded the ordinary way.
Of what few events run, the code is read when it is called.
"""

import gc
import posix
import sys
from _functools import partial
from _imp import create_dynamic, exec_dynamic, get_frozen_object, is_frozen, source_hash
from marshal import loads

gc.disable()  # the process is over before there is anything worth collecting

_Module, _Spec = type(sys), type(sys.__spec__)

def start(here, file, index):
    """Handles the event of this process, with what is kept of the package, and ends it. Nothing is raised."""
    raw = b""
    try:
        raw = sys.stdin.buffer.read()
        _run(raw, Kept(here, file, index))
    except BaseException as problem:  # a hook never breaks the user's session: the recorder keeps the event, else this does
        sys.path.insert(0, here)
        import last_resort

        last_resort.keep(raw, sys.argv, problem)
        if file is not None:  # what was kept may be to blame: the next hook does without
            posix.unlink(place_of(here))
    finally:
        posix._exit(0)  # nothing is left to tear down


def place_of(here):
    """Where the kept code of this Python lies, beside Python's own."""
    magic = sys.modules["_frozen_importlib_external"].MAGIC_NUMBER.hex()
    return "%s/__pycache__/hooks.%s.kept" % (here, magic)


def _run(raw, kept):
    if sys.argv[1] == "SessionStart" and kept.file is not None and not kept.is_whole():
        kept.stale = True  # it is kept anew; to look at each event would cost a tenth of it
    kept.is_fresh("preload")  # else nothing is taken from there
    sys.meta_path.insert(0, kept)
    sys.path += [kept.here, kept.here[:-5] + "scripts"]  # Python's own come first: it would look for them here
    leant = kept.index.get(LEAN, (True,))[0] and lean(sure=kept.stale)
    kept.make_common()
    kept.make_for(sys.argv[1])
    from orchestrator.edges import hooks

    name = sys.argv[1]
    answer = hooks.run(raw, name, int(sys.argv[2]), alone=True)
    if answer:
        try:
            sys.stdout.buffer.write(answer.encode("utf-8", "replace") + b"\n")
            sys.stdout.flush()
        except OSError:  # the client is gone: what it sent is recorded all the same
            pass
    if kept.stale and name != "SessionEnd":  # that one has no time
        try:
            import keep_code

            keep_code.keep(kept.here, place_of(kept.here), leant)
        except Exception:  # files that are changing: the event is recorded, the next hook keeps them
            pass


LEAN, COMMON, LATER, WHOLE = "?lean", "?common", "?later", "?whole"  # what else is in the index


class Kept:
    """A finder of modules in `file`: {name: (path, is a package, mtime, size, needs, length, offset)}.

    `needs` are the modules of ours that it imports at its top, each after those that it needs itself; they are made without
    a search. A path that begins with "/" is that of an extension of Python's, the others lie below the plugin. The codes of
    those that every event loads lie together: COMMON holds (names, length, offset) of each piece; so does what most events
    of a kind load and run beside: (length, offset) of "?" and its name. LATER is where the functions begin whose code is
    read when they are called, WHOLE the (length, offset, hash) of all that follows the head.
    """

    def __init__(self, here, file, index):
        self.here, self.root, self.file = here, here[:-5], file
        self.index, self.stale = index or {}, index is None

    def find_spec(self, name, path=None, target=None):
        """The import system asks for one; what it needs is made on the way."""
        if name not in self.index:
            return None
        where, is_package, _, _, needs = self.index[name][:5]
        if where[0] == "/":
            return _Spec(name, self, origin=where) if self.is_fresh(name) else None
        for need in needs:
            if need not in sys.modules:
                self._make(need)
        code = self._code(name)
        if code is None:
            return None
        spec = _Spec(name, self, origin=self.root + where, loader_state=code, is_package=is_package)
        spec.has_location = True
        if is_package:  # where what has changed is found the ordinary way
            spec.submodule_search_locations = [spec.origin.rpartition("/")[0]]
        return spec

    def create_module(self, spec):
        """The ordinary kind of module; an extension makes its own."""
        return None if spec.loader_state else create_dynamic(spec)

    def exec_module(self, module):
        """Runs a module's code."""
        code = module.__spec__.loader_state
        if code:
            self._run(code, module.__dict__)
        else:
            exec_dynamic(module)

    def _run(self, code, space):
        """Runs a module's code; the functions that are not in it are read when they are called."""
        code, spared = code
        for name, length, offset in spared:
            space[name] = partial(self.wake, space, name, length, offset)
        exec(code, space)

    def make_common(self):
        """Makes the modules that every event loads. Where one has changed, all is left to the import system."""
        for names, length, offset in self.index.get(COMMON, ()):
            if not all(map(self.is_fresh, names)):
                return
            try:
                codes = loads(posix.pread(self.file, length, offset))
            except Exception:  # cut short, or spoilt
                self.stale = True
                return
            for name, code in zip(names, codes):  # noqa: B905 (3.9)
                self._make(name, code)

    def make_for(self, event):
        """Makes the modules that most events of this kind load beside, and functions of the common ones."""
        if self.stale or "?" + event not in self.index:
            return
        try:
            modules, functions = loads(posix.pread(self.file, *self.index["?" + event]))
        except Exception:  # cut short, or spoilt
            self.stale = True
            return
        for name, code in modules:
            if name not in sys.modules:
                if not self.is_fresh(name):
                    return
                self._make(name, code)
        for name, code in functions:
            exec(code, sys.modules[name].__dict__)

    def _make(self, name, code=None):
        code = code or self._code(name)
        if code is None:
            return
        path, is_package = self.index[name][:2]
        above, _, last = name.rpartition(".")
        module = sys.modules[name] = _Module(name)
        module.__file__, module.__package__ = self.root + path, name if is_package else above
        if is_package:
            module.__path__ = [module.__file__.rpartition("/")[0]]
        try:
            self._run(code, module.__dict__)
        except BaseException:
            del sys.modules[name]
            raise
        if above:
            setattr(sys.modules[above], last, module)

    def is_fresh(self, name):
        """Whether a module's source is as it was, and that of all before it."""
        if not self.stale:
            path, _, mtime, size = self.index[name][:4]
            try:
                found = posix.stat(path if path[0] == "/" else self.root + path)
                self.stale = found.st_mtime_ns != mtime or found.st_size != size
            except OSError:
                self.stale = True
        return not self.stale

    def _code(self, name):
        if self.is_fresh(name):
            try:
                return loads(posix.pread(self.file, *self.index[name][5:]))
            except Exception:  # cut short, or spoilt
                self.stale = True
        return None

    def is_whole(self):
        """Whether all that is kept is as it was written: what is spoilt may end the process instead of raising."""
        length, offset, told = self.index.get(WHOLE, (0, 0, b""))
        return source_hash(0, posix.pread(self.file, length, offset)) == told

    def wake(self, space, name, length, offset, /, *args, **more):
        """Calls a function of a module, whose code was not read with its module's."""
        if type(space[name]) is partial:  # else somebody else's name for it was called
            try:
                code = loads(posix.pread(self.file, length, self.index[LATER][0] + offset))
            except Exception:  # cut short, or spoilt: the source is as it was
                self.stale = True
                code = _compiled(space["__file__"], name)
            exec(code, space)
        return space[name](*args, **more)


def _compiled(path, name):
    """The code that defines a function, from its source."""
    import ast

    with open(path, "rb") as f:
        nodes = [node for node in ast.parse(f.read(), path).body if getattr(node, "name", None) == name]
    return compile(ast.Module(nodes, []), path, "exec", dont_inherit=True, optimize=2)


class _Os(_Module):
    """What hooks want of os; whoever wants more of it gets the whole."""

    def __getattr__(self, name):
        if name[:2] == "__":
            raise AttributeError(name)
        del sys.modules["os"]
        import os as whole

        sys.modules["os"] = self
        self.__dict__.update(whole.__dict__)
        return getattr(whole, name)


def _open(handle, mode="r", *more, **words):
    return open(handle, mode, *more, **words)


def _lean_os():
    os = sys.modules["os"] = _Os("os")
    os.__dict__.update(posix.__dict__)
    environ = {name.decode("utf-8", "surrogateescape"): value.decode("utf-8", "surrogateescape")
               for name, value in posix.environ.items()}
    os.__dict__.update(environ=environ, name="posix", sep="/", fdopen=_open)
    os.SEEK_SET, os.SEEK_CUR, os.SEEK_END = 0, 1, 2
    for name in ("stat", "genericpath", "posixpath"):
        if is_frozen(name) and name not in sys.modules:  # from 3.11 on: made without a search for each
            module = sys.modules[name] = _Module(name)
            exec(get_frozen_object(name), module.__dict__)
    import posixpath

    os.path = sys.modules["os.path"] = posixpath


def _with(stand_in, name, **names):
    """Imports a module while another that it wants is a stand-in with these names; the ordinary way where that fails."""
    if name in sys.modules or stand_in in sys.modules:
        return
    sys.modules[stand_in] = _Module(stand_in)
    sys.modules[stand_in].__dict__.update(names)
    try:
        __import__(name)
    except Exception:  # another Python, which wants more
        sys.modules.pop(name, None)
    finally:
        del sys.modules[stand_in]


def lean(sure):
    """Loads os and _sqlite3 without the modules of which they take a name or two, and which cost as much as a write.

    Returns whether that works, as far as one can see; `sure`: it is tried.
    """
    if "os" not in sys.modules:
        _lean_os()
    from _functools import _lru_cache_wrapper

    _with("functools", "_sqlite3", lru_cache=lambda size: lambda call: _lru_cache_wrapper(call, size, False, tuple))
    if not sure:
        return True
    try:
        import _sqlite3

        _sqlite3.connect(":memory:", isolation_level=None).execute("SELECT 1").fetchone()
        return True
    except Exception:  # another Python: it is loaded the ordinary way
        sys.modules.pop("_sqlite3", None)
        return False
