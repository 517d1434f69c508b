"""Keeping of the hooks' code: compiles what hooks load into the one file that `preload` reads. Run once a version and Python.

Standard library, Python 3.9. What cannot be kept (a folder that is not ours to write) is loaded the ordinary way for ever.
"""

import _imp
import ast
import marshal
import os
import time

PACKAGE = "orchestrator"
LEAN, COMMON, LATER, WHOLE = "?lean", "?common", "?later", "?whole"  # what else is in the index, see preload
ALL = "*"  # each kind of event
PIECE = 110000  # bytes that are read at a stroke: less than malloc takes from the system at a time
SMALL = 600  # bytes of code below which another reading costs more
STALE = 60  # seconds after which another process that began to do this is taken to be gone


def keep(here, place, lean):
    """Writes the kept code of the hooks in the folder `here` to `place`; only one process does it at a time.

    `lean`: whether this Python can do with stand-ins (see preload).
    """
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
            f.write(whole(compiled(os.path.dirname(here)), lean, often(here)))
            f.flush()
            os.fsync(handle)
        os.rename(beginning, place)
    except BaseException:
        os.unlink(beginning)
        raise


def often(here):
    """{module, or module:function: the kinds of events that mostly load or run it, or "*" for all}."""
    with open(os.path.join(here, "often.txt"), encoding="utf-8") as f:
        return {line.split()[0]: line.split()[1:] for line in f if line[:1] != "#"}


def whole(modules, lean, often=()):
    """The file: the code of `preload` and the index, which says where in it each code lies; then the codes."""
    often = dict(often)
    later, parts, index = {}, [], {LEAN: (lean,)}
    kinds = sorted({kind for of in often.values() for kind in of} - {ALL})

    def spared(name, *events):
        return _sparing(name, *modules[name][5:], later, lambda function: any(
            event in often.get("%s:%s" % (name, function), ()) for event in (ALL, *events)))

    rest = {name: (row[:5], (_bare(row[6]), ()) if name == "preload" else spared(name)) for name, row in modules.items()}
    common = _common(modules)
    pieces = list(_pieces(common, {name: rest[name][1] for name in common}))
    parts += [(COMMON, piece) for _, piece in pieces]
    for kind in kinds:
        loaded = []
        for name in modules:
            if kind in often.get(name, ()):
                loaded += [one for one in (*modules[name][4], name) if one not in common and one not in loaded]
        parts.append(("?" + kind, marshal.dumps((tuple([(name, spared(name, kind)) for name in loaded]),
                                                 tuple(_run(modules, common, often, later, kind))))))
    parts += [(name, marshal.dumps(code)) for name, (_, code) in rest.items() if name not in common and name != "preload"]
    parts.append((LATER, b"".join([code for _, code in later.values()])))
    body = b"".join([code for _, code in parts])
    size, last = 0, None
    while size != last:  # how long the numbers are moves what they tell
        last, at, index[COMMON] = size, size, ()
        index.update({one: rest[one][0][:4] + ((), 0, 0) for one in common})
        for name, code in parts:
            if name == COMMON:
                index[name] += ((pieces[len(index[name])][0], len(code), at),)
            elif name == LATER:
                index[name] = (at,)
            elif name[0] == "?":
                index[name] = (len(code), at)
            else:
                row = rest[name][0]
                index[name] = row[:4] + (tuple([need for need in row[4] if need not in common]), len(code), at)
            at += len(code)
        index["preload"] = rest["preload"][0][:4] + ((), 0, 0)
        index.update(_extensions())
        index[WHOLE] = (len(body), size, _imp.source_hash(0, body))
        head = marshal.dumps((rest["preload"][1][0], index))
        size = len(head) + 12
    return _imp.source_hash(0, head) + size.to_bytes(4, "little") + head + body


def _run(modules, common, often, later, kind):
    """(module, code that defines them): of the common modules' functions, what events of a kind run and not all do."""
    for name in common:
        *_, code, plain = modules[name]
        nodes = [node for function, node in plain.items() if (name, function) in later
                 and kind in often.get("%s:%s" % (name, function), ())]  # fmt: skip
        if nodes:
            yield name, _defining(nodes, code)


def _pieces(names, codes):
    """(names, their codes) one after the other, each piece small enough for memory that is used again."""
    piece = []
    for name in names:
        if piece and len(marshal.dumps(tuple([codes[each] for each in piece + [name]]))) > PIECE:
            yield tuple(piece), marshal.dumps(tuple([codes[each] for each in piece]))
            piece = []
        piece.append(name)
    if piece:
        yield tuple(piece), marshal.dumps(tuple([codes[each] for each in piece]))


def _common(modules):
    """The modules that every event loads, each after those that it needs: what the handlers of all events share."""
    doors = [PACKAGE + ".edges." + name for name in ("hooks_before", "hooks_after")]
    shared = [set(modules[door][4]) for door in doors if door in modules]
    if not shared:
        return ()
    both = set.intersection(*shared)
    return tuple([name for name in modules[doors[-1]][4] if name in both])


def _extensions():
    """{name: row} of the extensions of this Python that hooks load, where they are files."""
    found = {}
    for name in ("_sqlite3", "_blake2", "zlib"):
        try:
            path = __import__(name).__spec__.origin
            about = os.stat(path)
        except (ImportError, OSError, AttributeError, TypeError):
            continue
        if path.startswith("/"):
            found[name] = (path, False, about.st_mtime_ns, about.st_size, (), 0, 0)
    return found


def _sparing(module, tree, code, plain, later, is_run):
    """(a module's code without the `plain` functions that are not run, (name, length, offset) of each of these).

    `later` gets where the code that defines one lies among theirs, and the code: {(module, name): (offset, code)}.
    """
    spared = {}
    for name, node in plain.items():
        if not is_run(name):
            text = marshal.dumps(_defining([node], code))
            if len(text) > SMALL:
                at, _ = later.setdefault((module, name), (sum([len(code) for _, code in later.values()]), text))
                spared[node] = (name, len(text), at)
    return _defining([node for node in tree.body if node not in spared], code), tuple(spared.values())


def _defining(nodes, whole):
    """The code of some of a module's statements, with functions as in the `whole`: there Python knew what was imported."""
    code = compile(ast.Module(nodes, []), whole.co_filename, "exec", dont_inherit=True, optimize=2)
    known = {}  # by name and line, and in order: a line may hold several lambdas or comprehensions
    for one in whole.co_consts:
        known.setdefault(_name(one), []).append(one)
    return _bare(code.replace(co_consts=tuple([known.get(_name(one), [one]).pop(0) for one in code.co_consts])))


def _name(const):
    """What a constant of a module's code is known by there: a function or a class by its name and line, another by itself."""
    return (const.co_name, const.co_firstlineno) if hasattr(const, "co_name") else id(const)


def _bare(code):
    """Code without lines, which are a fourth of it; whoever wants one compiles the source."""
    lines = "co_linetable" if hasattr(code, "co_linetable") else "co_lnotab"  # 3.9
    consts = [_bare(const) if isinstance(const, type(code)) else const for const in code.co_consts]
    return code.replace(co_consts=tuple(consts), **{lines: b""})


def compiled(root):
    """{name: (path below the root, is a package, mtime, size, needs, tree, code, its functions without decorators by name)} of
    `preload` and all that hooks may load."""
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
        plain = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef) and not node.decorator_list}
        code = compile(tree, path, "exec", dont_inherit=True, optimize=2)
        found[name] = (path[len(root) + 1:], path.endswith("__init__.py"), about.st_mtime_ns, about.st_size, tree, code, plain)
        waiting += every + _above(name)
    return {name: row[:4] + (tuple(_needs(name, at_top)),) + row[4:] for name, row in found.items()}


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
