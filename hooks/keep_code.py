"""Keeping of the hooks' code: compiles what hooks load into the one file that `preload` reads. Run once a version and Python.

Standard library, Python 3.9. What cannot be kept (a folder that is not ours to write) is loaded the ordinary way for ever.
"""

import ast
import marshal
import os
import time

PACKAGE = "orchestrator"
STALE = 60  # seconds after which another process that began to do this is taken to be gone


def keep(here, place):
    """Writes the kept code of the hooks in the folder `here` to `place`; only one process does it at a time."""
    beginning = place + ".new"
    try:
        os.makedirs(os.path.dirname(place), exist_ok=True)
        if os.path.exists(beginning) and time.time() - os.path.getmtime(beginning) > STALE:
            os.unlink(beginning)
        handle = os.open(beginning, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    except OSError:
        return  # it cannot be written here, or another is at it
    try:
        with os.fdopen(handle, "wb") as f:
            f.write(whole(compiled(os.path.dirname(here))))
            f.flush()
            os.fsync(handle)
        os.rename(beginning, place)
    except BaseException:
        os.unlink(beginning)
        raise


def whole(modules):
    """The file: the code of `preload` and the index, which says where in it each code lies; then the codes."""
    code, codes = marshal.loads(modules["preload"][5]), b"".join([row[5] for row in modules.values()])
    size, last = 0, None
    while size != last:  # how long the numbers are moves what they tell
        last, at, index = size, size, {}
        for name, row in modules.items():
            index[name] = row[:5] + (len(row[5]), at)
            at += len(row[5])
        head = marshal.dumps((code, index))
        size = len(head)
    return head + codes


def compiled(root):
    """{name: (path below the root, is a package, mtime, size, needs, code)} of `preload` and all that hooks may load."""
    found, waiting = {}, ["preload"]
    folder = os.path.join(root, "scripts", PACKAGE, "edges")
    waiting += ["%s.edges.%s" % (PACKAGE, n[:-3]) for n in sorted(os.listdir(folder)) if n[:5] == "hooks" and n[-3:] == ".py"]
    at_top = {}
    while waiting:
        name = waiting.pop()
        path = _file(root, name)
        if name in found or path is None:
            continue
        about = os.stat(path)
        with open(path, "rb") as f:
            tree = ast.parse(f.read(), path)
        every, at_top[name] = _imports(root, tree, ast.walk(tree)), _imports(root, tree, _top(tree))
        code = compile(tree, path, "exec", dont_inherit=True, optimize=2)
        found[name] = (path[len(root):], path.endswith("__init__.py"), about.st_mtime_ns, about.st_size, code)
        waiting += every + _above(name)
    return {name: row[:4] + (tuple(_needs(name, at_top)), marshal.dumps(row[4])) for name, row in found.items()}


def _file(root, name):
    base = os.path.join(root, "scripts", *name.split("."))
    for path in (os.path.join(root, "hooks", name + ".py"), base + ".py", os.path.join(base, "__init__.py")):
        if os.path.isfile(path):
            return path
    return None


def _above(name):
    parts = name.split(".")
    return [".".join(parts[:n]) for n in range(1, len(parts))]


def _top(tree):
    """The nodes that importing the file runs: not those of a function, nor of what is done where something failed."""
    waiting = list(tree.body)
    while waiting:
        node = waiting.pop(0)
        if not isinstance(node, (ast.FunctionDef, ast.ExceptHandler)):
            yield node
            waiting += ast.iter_child_nodes(node)


def _imports(root, tree, nodes):
    """Modules of ours that these nodes import, in order."""
    found = []
    for node in nodes:
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            below = [node.module + "." + alias.name for alias in node.names]
            found += [name if _file(root, name) else node.module for name in below]
    return [name for name in found if name.split(".")[0] == PACKAGE]


def _needs(name, at_top):
    """The modules of ours that one needs before it, each after those that it needs itself."""
    order, seen = [], {name}

    def add(one):
        if one not in seen:
            seen.add(one)
            for need in _above(one) + at_top.get(one, []):
                add(need)
            order.append(one)

    for need in _above(name) + at_top[name]:
        add(need)
    return order
