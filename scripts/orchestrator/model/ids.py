"""Ids that say what they are: orch-YYYY-MM-DD-…, exec-…, b2:…; given ids are kept verbatim."""

import os

_LETTERS = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's: no i, l, o, u to misread


def tail(n=8):
    """n random characters; 8 of them are 40 bits, so that merged histories do not collide."""
    return "".join([_LETTERS[b & 31] for b in os.urandom(n)])


def orchestration_id(now):
    """A new orchestration id; now is the time as UTC text."""
    return "orch-" + now[:10] + "-" + tail(6)


def execution_id():
    """A new execution id."""
    return "exec-" + tail(10)


def begins(given, name):
    """Whether an id may be cut to what is given. A number that somebody counted is not cut: t1 is not t10."""
    if not given or not name.startswith(given):
        return False
    made = len(name) == {"exec-": 15, "orch-": 22}.get(name[:5]) and not name[5:].strip(_LETTERS + "-")
    return made or given == name or not (given[-1].isdigit() and name[len(given)].isdigit())


def content_hash(data):
    """b2: + BLAKE2b-128 of bytes, the address of a blob."""
    import _blake2

    return "b2:" + _blake2.blake2b(data, digest_size=16).hexdigest()
