"""Task states, derived from rows: waiting, ready, in_flight, completed, failed, skipped, lost. Never stored."""

ENDED = ("completed", "failed", "skipped")


def derive(order, after, own):
    """{task_id: state} for task ids in `order`; `after` maps a task to what it waits for, `own` to its own state.

    A task's own state is completed, failed, lost, in_flight or skipped (the user goes on without it), else None.
    What waits for a failed task, directly or not, is skipped until that task succeeds in another attempt.
    """
    states, before = {}, {}
    for task in order:
        for first in after.get(task, ()):
            before.setdefault(first, []).append(task)
    blocked, todo = set(), [t for t in order if own.get(t) == "failed"]
    while todo:
        for task in before.get(todo.pop(), ()):
            if task not in blocked:
                blocked.add(task)
                todo.append(task)
    for task in order:
        if own.get(task):
            states[task] = own[task]
        elif task in blocked:
            states[task] = "skipped"
        elif all(own.get(first) in ("completed", "skipped") for first in after.get(task, ())):
            states[task] = "ready"
        else:
            states[task] = "waiting"
    return states
