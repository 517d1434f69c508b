"""The plan graph: rings, waves, who waits for whom, and its picture. Pure functions over task dicts.

A task is a dict with `id` and `after` (the ids it waits for). Names in `after` that are no task's id count as
done: those tasks were there before. Nothing here recurses: a plan may be one chain of a thousand tasks.
"""


def edges(tasks):
    """{id: [the ids of this plan that it waits for]}, in its order; a doubled id keeps all."""
    known: dict = {task["id"]: {} for task in tasks}
    for task in tasks:
        for name in task.get("after") or ():
            if name in known:
                known[task["id"]][name] = None
    return {name: list(waits) for name, waits in known.items()}


def dependents(tasks):
    """{id: [the ids that wait for it directly]}, in the plan's order."""
    found: dict = {task["id"]: [] for task in tasks}
    for name, waits in edges(tasks).items():
        for other in waits:
            found[other].append(name)
    return found


def reachable(graph, start):
    """All that `start` leads to in {name: [names]}: what it waits for, or what is behind it."""
    seen: dict = {}
    todo = list(graph.get(start, ()))
    while todo:
        name = todo.pop()
        if name not in seen:
            seen[name] = None
            todo.extend(graph.get(name, ()))
    return seen


def waves(tasks):
    """[[ids that may run together], …]: each in the first wave by which all it waits for has ended.

    Tasks in a ring, or behind one, are in no wave.
    """
    graph, behind = edges(tasks), dependents(tasks)
    missing = {name: len(waits) for name, waits in graph.items()}
    wave, found = [name for name, count in missing.items() if not count], []
    position = {name: at for at, name in enumerate(graph)}
    while wave:
        found.append(wave)
        ready = []
        for name in wave:
            for other in behind[name]:
                missing[other] -= 1
                if not missing[other]:
                    ready.append(other)
        wave = sorted(ready, key=position.__getitem__)
    return found


def rings(tasks, limit=20):
    """[[a, b, a], …]: tasks that wait for one another, each for the next; at most `limit`.

    Every ring that a walk through the graph closes is named once, by its shortest way round: when each is
    broken where the walk closed it, none is left. (All elementary rings would be exponentially many.)
    """
    graph, found, seen = edges(tasks), [], set()
    for last, first in _closing_edges(graph):
        ring = _shortest(graph, first, last)
        at = ring.index(min(ring))
        ring = ring[at:] + ring[:at]
        if tuple(ring) not in seen:
            seen.add(tuple(ring))
            found.append([*ring, ring[0]])
            if len(found) >= limit:
                break
    return found


def _closing_edges(graph):
    """(last, first) for each edge of a depth-first walk that leads back onto its own path."""
    state = {}  # absent: not seen; True: on the path; False: done
    for root in graph:
        if root in state:
            continue
        state[root] = True
        path = [(root, iter(graph[root]))]
        while path:
            name, rest = path[-1]
            for other in rest:
                if state.get(other):
                    yield name, other
                elif other not in state:
                    state[other] = True
                    path.append((other, iter(graph[other])))
                    break
            else:
                state[name] = False
                path.pop()


def _shortest(graph, start, end):
    """The shortest path from `start` to `end`, both included; there is one."""
    came, wave = {start: None}, [start]
    while end not in came:
        ahead = []
        for name in wave:
            for other in graph[name]:
                if other not in came:
                    came[other] = name
                    ahead.append(other)
        wave = ahead
    path = [end]
    while path[-1] != start:
        path.append(came[path[-1]])
    return path[::-1]


# Colours that can be told apart on light and dark pages.
_STATES = {
    "waiting": "fill:#e8e8e8,stroke:#888,color:#222",
    "ready": "fill:#dcebff,stroke:#3873c9,color:#222",
    "in_flight": "fill:#fff3c4,stroke:#b8860b,color:#222",
    "completed": "fill:#d9f2dd,stroke:#2e8b57,color:#222",
    "failed": "fill:#f9d5d5,stroke:#b22222,color:#222",
    "lost": "fill:#f9d5d5,stroke:#b22222,color:#222,stroke-dasharray:4",
    "skipped": "fill:#fff,stroke:#888,color:#666,stroke-dasharray:4",
}


def mermaid(tasks, states=None, nodes=150, links=450):
    """The plan as a Mermaid flowchart, without a fence. `states`: {id: state} colours the tasks.

    Ids and titles are data: they stand only in quoted labels, with everything encoded that Mermaid, HTML or
    a Markdown fence could read. At most `nodes` tasks and `links` arrows: viewers refuse larger pictures.
    """
    states = states or {}
    titles: dict = {}
    for task in tasks:
        titles.setdefault(task["id"], task.get("title"))
    node = {name: "n%d" % at for at, name in enumerate(titles) if at < nodes}
    lines = ["flowchart TD"]
    for name, key in node.items():
        text = _label(name)
        if titles[name] and titles[name] != name:
            text += ": " + _label(titles[name])
        state = states.get(name)
        lines.append('    %s["%s"]%s' % (key, text, ":::" + state if state in _STATES else ""))
    arrows = [
        "    %s --> %s" % (node[other], node[name])
        for name, waits in edges(tasks).items()
        for other in waits
        if name in node and other in node
    ]
    lines += arrows[:links]
    if len(titles) > len(node):
        lines.append('    more["and %d more tasks"]' % (len(titles) - len(node)))
    if len(arrows) > links:
        lines.append('    cut["and %d more arrows"]' % (len(arrows) - links))
    used = {states.get(name) for name in node}
    lines += ["    classDef %s %s" % pair for pair in _STATES.items() if pair[0] in used]
    return "\n".join(lines) + "\n"


def _label(text, length=60):
    """`text` on one line, cut, with all but letters, digits and a few marks as numbered entities."""
    import unicodedata

    text = " ".join(text[: 4 * length].split())
    text = text if len(text) <= length else text[: length - 1] + "…"
    out = []
    for char in text:
        if char.isalnum() or char in " .,-_/…":
            out.append(char)
        elif unicodedata.category(char)[0] == "C":
            continue
        else:
            out.append("#%d;" % ord(char))
    return "".join(out)
