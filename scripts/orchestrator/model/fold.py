"""The fold: one execution's events, in canonical order, become its row. Pure; order of arrival does not matter."""

# An event here is (kind, at, event_id, status, reason, text, model). Kinds:
#   intent launched started   it was asked for, accepted, at work
#   stopped handback          SubagentStop: it ended its turn; it delivered its report by the client's tool (329, auto mode)
#   api_error                 StopFailure: the model could not be reached
#   notified returned         the task-notification, or the foreground call's return: it ended somehow
#   killed refused            stopped by TaskStop; the client did not start it
#   absent tail               Stop no longer lists it; what its transcript ends with
#   closed                    a command or a sweep says how it ended (reason given, lost, never_started, …)
COLUMNS = "kind, at, event_id, status, reason, text, model"

_ENDS = ("stopped", "handback", "api_error", "notified", "returned", "killed", "refused", "absent", "closed")
_RANK = {"intent": 0, "launched": 1, "started": 1, "tail": 3}  # every other kind: 2
_TURN_LIMIT = "-turn limit"  # 329 says "stopped at its 2-turn limit"; 197 says nothing


class Folded:
    """What the events say of one execution; every attribute is a column of `executions`."""

    __slots__ = ("started_at", "completed_at", "status", "end_reason", "inferred", "final_message",
                 "error_message", "resolved_model", "segments")


class Segment:
    """One stretch between a start and an end."""

    __slots__ = ("started_at", "found")

    def __init__(self):
        self.started_at = None
        self.found = {}


def fold(events):
    """Folds event tuples (COLUMNS) into a Folded row. The same set gives the same row in any order, repeated or not."""
    segments, model = [Segment()], None
    for event in sorted(set(events), key=_canonical):
        kind, at = event[0], event[1]
        current = segments[-1]
        if event[6]:
            model = event[6]
        if kind == "started":
            if any([k in current.found for k in _ENDS[:6]]):
                current = Segment()  # a message to a finished agent began another stretch
                segments.append(current)
            if current.started_at is None:
                current.started_at = at
        elif kind == "launched" and current.started_at is None and len(segments) == 1:
            current.found.setdefault(kind, event)
        elif kind == "closed" and event[4] in ("lost", "never_started"):
            current.found.setdefault("closed_weak", event)
        elif kind == "stopped" and event[5]:
            current.found[kind] = event  # sent back to deliver a report, an agent stops again: the last word counts
        else:
            current.found.setdefault(kind, event)
    row = Folded()
    row.resolved_model = model
    row.started_at = segments[0].started_at or _at(segments[0], "launched")
    ends = [_end(s) for s in segments]
    row.segments = [(s.started_at, e) for s, e in zip(segments, ends)]
    first = ends[0]
    latest = first
    for end in ends[1:]:
        if end is not None:
            latest = end
    if first is None:
        row.status, row.end_reason, row.inferred = "deployed", None, 0
        row.completed_at = row.final_message = row.error_message = None
        return row
    row.status, row.end_reason, row.inferred, row.error_message = first[0], first[1], first[2], first[5]
    row.completed_at, row.final_message = latest[3], latest[4]
    return row


def _canonical(event):
    return (event[1], _RANK.get(event[0], 2), event[2])


def _at(segment, kind):
    event = segment.found.get(kind)
    return event[1] if event else None


def _end(segment):
    """(status, reason, inferred, at, final message, error message) of a segment, or None while nothing ended it."""
    found = segment.found
    stopped, error, told = found.get("stopped"), found.get("api_error"), found.get("notified")
    back, tail, closed = found.get("returned"), found.get("tail"), found.get("closed")
    at = min([found[k][1] for k in _ENDS if k in found], default=None)
    handed = found.get("handback")
    text = _first_text(handed, stopped, tail if tail and tail[3] == "end_turn" else None, told, back, tail)
    if closed:
        good = closed[3] == "completed"
        return (closed[3], closed[4] or "given", 0, closed[1], closed[5] if closed[5] is not None else text,
                None if good else closed[5] or closed[4])
    if "killed" in found or (told and told[3] == "killed"):
        return "failed", "stopped", 0, at, text, "It was stopped before it ended its turn."
    if error or (told and told[3] == "failed"):
        said = error[5] if error else told[4]
        return "failed", "api_error", 0, at, None if text == said else text, said
    if "refused" in found:  # the client did not start it, or (329, foreground) it broke off on an error
        begun = segment.started_at or "launched" in found
        return "failed", "api_error" if begun else "refused", 0, at, text, found["refused"][4]
    if stopped or handed:
        if (text or "").lstrip().startswith("NO BRIEFING"):
            return "failed", "no_briefing", 0, at, text, text
        return "completed", "end_turn", 0, at, text, None
    if told or back:
        words = (told[4] or "") + (told[5] or "") if told else back[5] or ""
        if _TURN_LIMIT in words:
            return "failed", "max_turns", 0, at, text, "It reached its turn limit."
        if tail and tail[3] == "end_turn":
            return "completed", "end_turn", 1, at, text, None
        if tail and tail[3] == "api_error":
            return "failed", "api_error", 1, at, None, tail[5]
        if tail or "absent" in found:
            return "failed", "max_turns", 1, at, text, "It ended without a last word: its turn limit, most likely."
        return None
    if "absent" in found:
        if tail and tail[3] == "end_turn":
            return "completed", "end_turn", 1, at, text, None
        if tail and tail[3] == "api_error":
            return "failed", "api_error", 1, at, None, tail[5]
        return "failed", "ended", 1, at, text, "It is no longer running, and nothing says how it ended."
    weak = found.get("closed_weak")
    if weak and not (weak[4] == "never_started" and (segment.started_at or "launched" in found)):
        return "failed", weak[4], 1, weak[1], text, weak[5]
    return None


def _first_text(*events):
    for event in events:
        if event and event[5]:
            return event[5]
    return None
