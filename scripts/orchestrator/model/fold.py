"""The fold: what is known of one execution, as events in any order, becomes its row. Pure; its table: references/recording.md.

Which end an agent came to follows from which signals there are, never from the order they arrived in. Times
are those of arrival. Where one agent worked several times (a message to a finished agent begins another
segment), signals are dealt out by the call that began the segment, else by the text they carry, else by order.
"""

# An event here is a tuple of these columns. Kinds:
#   intent launched started resumed  it was asked for, accepted, at work; a message (`call`) put it to work again
#   stopped handback       SubagentStop: it ended its turn; it delivered its report by the client's tool (329, auto mode)
#   api_error              StopFailure: the model could not be reached
#   notified returned      the task-notification; the foreground call's return, or a workflow's journal: it ended somehow
#   killed refused         stopped by TaskStop; the client did not start it
#   absent tail            Stop no longer lists it; what its transcript ends with
#   closed                 a command or a sweep says how it ended (reason given, lost, never_started, …)
#   met                    its meta file names its call
COLUMNS = "kind, at, event_id, status, reason, text, model, tool_use_id, prompt_id, body"

SAID = ("stopped", "handback", "api_error")  # the agent's own hooks say so
_EARLY = ' failed: Agent terminated early due to an API error: '  # so a notification begins (329), before what the API said
_TURN_LIMIT = "-turn limit"  # 329 says "stopped at its 2-turn limit"; 197 says nothing
_RESOLVED = ("returned", "launched", "tail")  # which signal knows best what model it was
_OPENING = ("intent", "launched", "returned", "refused", "met")
_WEAK = ("lost", "never_started")


class Folded:
    """What the events say of one execution; but for `segments`, every attribute is a column of `executions`."""

    __slots__ = ("started_at", "completed_at", "status", "end_reason", "inferred", "final_message", "error_message",
                 "resolved_model", "context_size", "segments")


class Event:
    """One event's columns as attributes."""

    __slots__ = ("kind", "at", "id", "status", "reason", "text", "model", "call", "prompt", "body")

    def __init__(self, row):
        (self.kind, self.at, self.id, self.status, self.reason, self.text, self.model, self.call, self.prompt,
         self.body) = row


class Segment:
    """One stretch of work: what began it, and by kind what is known of it. The last of a kind counts."""

    __slots__ = ("call", "prompt", "begun", "found", "all")

    def __init__(self, call=None, prompt=None, begun=None):
        self.call, self.prompt, self.begun = call, prompt, begun
        self.found, self.all = {}, []

    def add(self, event):
        self.found[event.kind] = event
        self.all.append(event)

    def said(self):
        """Whether one of its own hooks said that it ended."""
        return any(kind in self.found for kind in SAID)


def fold(events):
    """Folds event rows (COLUMNS) into a Folded row. The same set gives the same row in any order, repeated or not."""
    events = [Event(e) for e in sorted(set(events), key=lambda e: (e[1], e[2]))]
    segments = _dealt(events)
    row = Folded()
    row.resolved_model = _resolved(events)
    row.segments, row.context_size = [], None
    ended = []
    for segment in segments:
        started, end = _started(segment), _end(segment)
        if started and end and end[3] < started:
            started = end[3]  # its start was heard of late
        row.segments.append((started, end))
        if end:
            ended.append(end)
        told = segment.found.get("notified") or segment.found.get("returned")
        if told and told.body and told.body.isdecimal() and len(told.body) < 13:
            row.context_size = int(told.body)
    row.started_at = row.segments[0][0]
    if not ended:
        row.status, row.end_reason, row.inferred = "deployed", None, 0
        row.completed_at = row.final_message = row.error_message = None
    else:
        row.status, row.end_reason, row.inferred, row.error_message = [ended[0][n] for n in (0, 1, 2, 5)]
        row.inferred = int(row.inferred or not row.segments[0][1])  # nothing says how the first ended
        row.completed_at = ended[-1][3]
        row.final_message = ([end[4] for end in ended if end[4]] or [None])[-1]  # a later failure takes no result away
    return row


def _resolved(events):
    for kind in _RESOLVED:
        found = [e.model for e in events if e.kind == kind and e.model]
        if found:
            return found[-1]
    return None


# Dealing out --------------------------------------------------------------------------------------

def _dealt(events):
    """The segments with their events."""
    met = [event.call for event in events if event.kind == "met"]
    first = Segment(met[0] if met else None)
    if met:  # what names another call named the wrong agent
        events = [e for e in events if e.kind not in _OPENING or e.call in (None, first.call)]
    for event in events:
        if event.kind in _OPENING and event.call and first.call is None:
            first.call = event.call
        if event.kind == "intent":
            first.prompt = event.prompt
    segments = [first] + _resumed(events, first)
    if len(segments) == 1:
        for event in events:
            first.add(event)
        return segments
    ends = []
    for event in events:
        if event.kind in _OPENING:
            first.add(event)
        elif event.kind == "resumed":
            _of_call(segments, event.call).add(event)
        elif event.kind == "notified" and event.call:
            (_of_call(segments, event.call) or first).add(event)
        elif event.kind == "started":
            _of_prompt(segments, event).add(event)
        elif event.kind in SAID:
            ends.append(event)
    _deal_ends(segments, ends, [_begun(segments, event)[-1] for event in events if event.kind == "killed"])
    for event in events:
        if event.kind == "notified" and not event.call:  # of what a person typed to the agent
            waiting = [s for s in segments if "notified" not in s.found]
            same = [s for s in waiting if event.text and s.said() and event.text in [e.text for e in s.all]]
            (_begun(same, event) or same or _begun(waiting, event) or waiting or segments)[-1].add(event)
    for event in events:
        begun = _begun(segments, event)
        if event.kind == "killed":
            open_ones = [s for s in segments if not s.said() and "notified" not in s.found]
            told = [s for s in segments if "notified" in s.found and s.found["notified"].status == "killed"]
            (told or _begun(open_ones, event) or open_ones or segments)[-1].add(event)
        elif event.kind == "absent":
            _latest(begun).add(event)
        elif event.kind == "tail":  # seen together with a failure, or by itself; an end is of the time at which it was written
            failed = [s for s in segments if "api_error" in s.found and s.found["api_error"].at == event.at]
            if event.body and event.status != "unfinished":
                begun = [s for s in begun if s.begun is None or s.begun <= event.body]
            (failed or [_latest(begun)])[-1].add(event)
        elif event.kind == "closed":
            open_ones = [s for s in segments if not s.said() and "notified" not in s.found]
            (open_ones or segments)[0].add(event)
    return segments


def _resumed(events, first):
    """The segments that messages began: those whose call is known, and those that other signals give away."""
    found = {}
    for event in events:
        if event.kind == "resumed" and event.call and event.call != first.call and event.call not in found:
            found[event.call] = Segment(event.call, event.prompt, event.at)
    for event in events:
        if event.kind == "notified" and event.call and event.call not in found:
            if first.call is None:
                first.call = event.call  # the earliest is its own
            elif event.call != first.call:
                found[event.call] = Segment(event.call, None, event.at)
    later = sorted(found.values(), key=lambda s: s.begun)
    known = {s.prompt for s in later} | {first.prompt}
    loose = [e for e in events if e.kind == "started" and e.prompt not in known]
    nameless = [s for s in later if s.prompt is None]
    if first.prompt is None and loose:
        first.prompt = loose.pop(0).prompt
    for event in loose:  # begun in a turn that nothing else explains: another segment, whose message went unheard
        if nameless:
            nameless.pop(0).prompt = event.prompt
        elif event.prompt not in [s.prompt for s in [first] + later]:
            later.append(Segment(None, event.prompt, event.at))
    return sorted(later, key=lambda s: s.begun)


def _latest(segments):
    """The segment that what is seen now is about: the last; but behind one of which the conversation was told, while nothing
    said how it ended, those that are known by a mere start do not count (it may name the wrong agent)."""
    known = [s for s in segments if s is segments[0] or s.call or s.said()][-1]
    told = "notified" in known.found or "returned" in known.found
    return known if told and not known.said() else segments[-1]


def _begun(segments, event):
    """The segments that had begun when something was seen: the first, which nothing is before, and others by their time."""
    return [s for s in segments if s.begun is None or s.begun <= event.at]


def _of_call(segments, call):
    for segment in segments:
        if call and segment.call == call:
            return segment
    return None


def _of_prompt(segments, event):
    for segment in segments:
        if segment.prompt == event.prompt and "started" not in segment.found:
            return segment
    for segment in segments:
        if segment.prompt == event.prompt:
            return segment
    return segments[0]


def _deal_ends(segments, ends, killed):
    """Gives each end that a hook told to its segment: by the result that the segment's notification carries, by the turn in
    which it began where that tells all of them apart, else in order, those that were `killed` last."""
    loose, turns = [], [s.prompt for s in segments]
    for group in _grouped(ends):
        texts = {e.text for e in group if e.text}
        told = [s for s in segments if "notified" in s.found and s.found["notified"].text in texts]
        for segment in told:
            for event in group:
                segment.add(event)
        if not told and turns.count(group[0].prompt) == 1 and None not in turns:
            told = [segments[turns.index(group[0].prompt)]]
            told[0].all += group
            told[0].found.update((event.kind, event) for event in group)
        if not told:
            loose.append(group)
    waiting = [s for s in segments if not s.said()]
    of_turn = {s.prompt: s for s in waiting}
    begun = [of_turn[g[0].prompt] for g in loose if g[0].prompt and g[0].prompt in of_turn]
    if not len(waiting) == len(of_turn) or not len(loose) == len(begun) == len(set(begun)):
        begun = []  # turns do not tell them apart
    for number, group in enumerate(loose):
        open_ones = begun[number:] or sorted([s for s in segments if not s.said()], key=killed.__contains__) or segments[-1:]
        for event in group:
            open_ones[0].add(event)


def _grouped(ends):
    """Ends that belong together: a report that was handed back with the stop that follows it, an agent that was sent
    back and stopped again."""
    groups = []
    for event in ends:
        follows = event.kind == "stopped" and (event.status == "again" or not event.text)
        if groups and follows:
            groups[-1].append(event)
        else:
            groups.append([event])
    return groups


# One segment's end --------------------------------------------------------------------------------

def _started(segment):
    for kind in ("started", "resumed", "launched"):
        found = [e.at for e in segment.all if e.kind == kind]
        if found:
            return found[0]
    return None


def _end(segment):
    """(status, reason, inferred, at, final message, error message) of a segment, or None while nothing ended it."""
    found = segment.found
    error, told, back = found.get("api_error"), found.get("notified"), found.get("returned")
    tail = found.get("tail") or Event((None,) * 10)
    told_so = told and (told.status == "failed" or error and error.text and told.text == error.text)
    if error and tail.body and segment.begun and tail.body < segment.begun:
        tail = Event((None,) * 10)  # its transcript shows nothing of this stretch of work yet
    if error and not told_so and tail.status in ("end_turn", "unfinished") and tail.at > error.at:
        error = None  # another agent's: looked at again, its own transcript shows no failure
    own = [e.at for e in segment.all if e.kind in SAID or e.kind in ("notified", "returned", "killed", "refused")]
    at = min(own or [e.at for e in segment.all if e.kind in ("absent", "closed")], default=None)
    if tail.body and not (segment.said() or told or "killed" in found):
        at = min(at or tail.body, tail.body)  # heard of later than it was: its transcript knows when
    text = _text(segment, tail)
    given = [e for e in segment.all if e.kind == "closed" and e.reason not in _WEAK]
    if given:
        closed = given[-1]
        good = closed.status == "completed"
        return (closed.status, closed.reason or "given", 0, closed.at, text if closed.text is None else closed.text,
                None if good else closed.text or closed.reason)
    if "killed" in found or (told and told.status == "killed"):
        return "failed", "stopped", 0, at, text, "It was stopped before it ended its turn."
    if told and _TURN_LIMIT in (told.reason or "").rpartition('" ')[2]:  # behind the description, which is the model's
        return "failed", "max_turns", 0, at, text, "It reached its turn limit."
    doubted = error and "stopped" in found and not told_so  # sent back, or another's failure
    if (error or told_so) and not ("handback" in found or doubted and tail.status == "end_turn"):
        said = error.text or error.reason if error else tail.reason or (told.reason or "").partition(_EARLY)[2] or told.reason
        doubted = not told_so and tail.status != "api_error" and (doubted or tail.status)  # its transcript shows no failure yet
        return "failed", "api_error", int(bool(doubted)), at, _text(segment, tail, said), said
    if "refused" in found:  # the client did not start it, or (329, foreground) it broke off on an error
        begun = "started" in found or "launched" in found
        return "failed", "api_error" if begun else "refused", 0, at, text, found["refused"].reason
    if "stopped" in found or "handback" in found:
        return _turn_ended(int(bool(doubted)), at, text)
    if (told or back or "absent" in found) and tail.status == "end_turn":
        return _turn_ended(1, at, text)
    if (told or back or "absent" in found) and tail.status == "api_error":
        return "failed", "api_error", 1, at, _text(segment, tail, tail.reason), tail.reason
    if tail.status == "stopped":
        return "failed", "stopped", 1, at or tail.at, text, "It was stopped: by the user, or with its Claude session."
    if back and back.status == "failed":
        return "failed", "ended", 1, at, text, "Its workflow says that it failed, and nothing says how."
    if back and _limited(back.text):
        return "failed", "max_turns", 0, at, text, "It reached its turn limit."
    if (told or back) and (tail.status or "absent" in found):
        return "failed", "max_turns", 1, at, text, "It ended without a last word: its turn limit, most likely."
    if told or back:
        return None
    if "absent" in found:
        return "failed", "ended", 1, at, text, "It is no longer running, and nothing says how it ended."
    weak = [e for e in segment.all if e.kind == "closed"]
    begun = "started" in found or "launched" in found
    weak = [e for e in weak if not (e.reason == "never_started" and begun)]
    if weak:
        return "failed", weak[-1].reason, 1, weak[-1].at, text, weak[-1].text
    return None


def _turn_ended(inferred, at, text):
    """The end of an agent that ended its turn: completed, unless all it has to say is that it got no briefing."""
    if (text or "").lstrip().startswith("NO BRIEFING"):
        return "failed", "no_briefing", inferred, at, text, text
    return "completed", "end_turn", inferred, at, text, None


def _limited(text):
    """Whether a result begins with the client's own note that the agent reached its turn limit (329)."""
    return bool(text) and text.startswith("NOTE: ") and _TURN_LIMIT in text.partition("\n")[0]


def _text(segment, tail, error=None):
    """The last words of a segment: what it handed back or said at its end, else what others say it said; never the `error`
    it failed with, nor the client's note that what follows is a part."""
    told = [e.text.partition("\n\n")[2] if _limited(e.text) else e.text for e in segment.all
            if e.kind in ("notified", "returned") and e.text and e.text != error]
    handed = [e.text for e in segment.all if e.kind == "handback" and e.text]
    stops = [e for e in segment.all if e.kind == "stopped" and e.text]
    for texts in (
        [text for text in told if text in handed], handed,
        [e.text for e in stops if e.text in told or e.text == tail.text], [e.text for e in stops if e.status == "again"],
        [e.text for e in stops],
        [tail.text] if tail.status == "end_turn" and tail.text else [], told, [tail.text] if tail.text else [],
    ):
        if texts:
            return texts[-1]
    return None
