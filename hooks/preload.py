"""Preloaded code: the package's compiled files kept in one, so that a hook opens and checks them at a stroke.

Python finds, opens and checks each module by itself, which for thirty of them costs more than all that the hook does. A
module is taken from here only while its source is as it was; what is missing or has changed is loaded the ordinary way.
"""

import gc
import posix
import sys
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
    kept.is_fresh("preload")  # else nothing is taken from there
    memory = lean()
    sys.meta_path.insert(0, kept)
    sys.path[:0] = [kept.here, kept.here[:-5] + "scripts"]
    kept.make("orchestrator.edges.hooks")
    from orchestrator.edges import hooks

    name = sys.argv[1]
    answer = hooks.run(raw, name, int(sys.argv[2]), memory, alone=True)
    if answer:
        sys.stdout.buffer.write(answer.encode("utf-8", "replace") + b"\n")
        sys.stdout.flush()
    if kept.stale and name != "SessionEnd":  # that one has no time
        try:
            import keep_code

            keep_code.keep(kept.here, place_of(kept.here))
        except Exception:  # files that are changing: the event is recorded, the next hook keeps them
            pass


class Kept:
    """A finder of modules: {name: (path below the plugin, is a package, mtime, size, needs, length, offset)}, in `file`.

    `needs` are the modules it imports at its top, those that they need first; they are made without a search.
    """

    def __init__(self, here, file, index):
        self.here, self.root, self.file = here, here[:-6], file
        self.index, self.stale = index or {}, index is None

    def find_spec(self, name, path=None, target=None):
        """The import system asks for one; what it needs is made on the way."""
        if name not in self.index:
            return None
        for need in self.index[name][4]:
            if need not in sys.modules:
                self._make(need)
        code = self._code(name)
        if code is None:
            return None
        path, is_package = self.index[name][:2]
        spec = _Spec(name, self, origin=self.root + path, loader_state=code, is_package=is_package)
        spec.has_location = True
        if is_package:  # where what has changed is found the ordinary way
            spec.submodule_search_locations = [spec.origin.rpartition("/")[0]]
        return spec

    def create_module(self, spec):
        """The ordinary kind of module."""
        return None

    def exec_module(self, module):
        """Runs a module's code."""
        exec(module.__spec__.loader_state, module.__dict__)

    def make(self, name):
        """Makes a module after what it needs. Where one has changed, all is left to the import system."""
        for each in (*self.index[name][4], name) if name in self.index else ():
            if each not in sys.modules:
                self._make(each)

    def _make(self, name):
        code = self._code(name)
        if code is None:
            return
        path, is_package = self.index[name][:2]
        above, _, last = name.rpartition(".")
        module = sys.modules[name] = _Module(name)
        module.__file__, module.__package__ = self.root + path, name if is_package else above
        if is_package:
            module.__path__ = [module.__file__.rpartition("/")[0]]
        try:
            exec(code, module.__dict__)
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
                found = posix.stat(self.root + path)
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


class _Mapping:
    """What os takes of the collections' abstract classes for its environment."""

    def get(self, key, default=None):
        try:
            return self[key]
        except KeyError:
            return default

    def __contains__(self, key):
        return self.get(key) is not None

    def keys(self):
        return list(self)

    def values(self):
        return [self[key] for key in self]

    def items(self):
        return [(key, self[key]) for key in self]

    def pop(self, key, *default):
        value = self.get(key, *default) if default else self[key]
        if key in self:
            del self[key]
        return value

    def update(self, other):
        for key in other:
            self[key] = other[key]


def _check_methods(kind, *names):
    return all(any(name in each.__dict__ for each in kind.__mro__) for name in names) or NotImplemented


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


def lean():
    """Loads os and _sqlite3 without the modules of which they take a name or two, and which cost as much as a write.

    Returns a connection to a database in memory, where that worked.
    """
    _with("_collections_abc", "os", Mapping=_Mapping, MutableMapping=_Mapping, _check_methods=_check_methods)
    from _functools import _lru_cache_wrapper

    _with("functools", "_sqlite3", lru_cache=lambda size: lambda call: _lru_cache_wrapper(call, size, False, tuple))
    try:
        import _sqlite3

        return _sqlite3.connect(":memory:", isolation_level=None)
    except Exception:  # another Python: it is loaded the ordinary way
        sys.modules.pop("_sqlite3", None)
    return None
