"""Redaction: secrets in a text are masked before it is hashed, stored or sent.

A text without a trace of a secret costs a scan for literals. Only a trace brings in `re` (in `masking`), and
only for the shapes whose trace was found.
"""

from orchestrator.model.secret_shapes import (
    ALNUM,
    BASE64,
    DISCORD,
    DOTTED,
    KEYS,
    LONGER,
    NAME,
    NAMES,
    OF_COMMANDS,
    OPTION,
    PREFIXED,
    SHORTEST_TOKEN,
    SURE,
    TRACES,
    UPPER,
    WITHIN,
)

ROUNDS = 8  # a mask may uncover what stood beside it; in practice the second round finds nothing
NAMED = "named"  # beside the names of rules: that for values behind names
QUOTING = "\\\"'`]) \t"
DEEP = "\\" * 32  # more than patterns allow in front of a quote or a line end: a document in a document, five times or more
PLACEHOLDERS = ("example", "your", "xxxx", "****", "....", "placeholder", "replace", "redacted", "dummy",
                "_here", "-here", "abcdef", "00000000", "insert")


class _Apart(dict):
    """A table for `str.translate` that leaves the characters of tokens and puts a blank for all others."""

    def __missing__(self, code):
        self[code] = " "
        return " "


_APART = _Apart((ord(c), c) for c in DOTTED)
_BEGINNINGS = " " + " ".join([row[3] for row in PREFIXED])
_BROKEN = [(beginning, kind, BASE64, least) for kind, alphabet, least, beginnings in PREFIXED if alphabet == BASE64
           for beginning in beginnings.split()]  # that the blanks of _APART may break
_by_two, _sure = {}, {}  # the first two characters -> shapes that begin so, and those believed within a name, too


def _shapes(two, sure=False):
    """Filled when a text may hold one, as not often: making them costs more than looking."""
    if " " + two not in _BEGINNINGS:
        return ()
    if not _by_two:
        for kind, alphabet, least, beginnings in PREFIXED:
            for beginning in beginnings.split():
                shape = (beginning, kind, alphabet, least)
                if beginning in SURE:
                    _sure.setdefault(beginning[:2], []).append(shape)
                if alphabet != BASE64:
                    _by_two.setdefault(beginning[:2], []).append(shape)
    return (_sure if sure else _by_two).get(two, ())


_also = []  # (kind, regular expression) that this process masks everywhere: the setting `redact`


def mask_also(patterns):
    """Masks these regular expressions too from now on, as `[masked:own]`, whoever calls."""
    _also[:] = [("own", pattern) for pattern in patterns]


def own_patterns():
    """What `mask_also` named."""
    return list(_also)


def redact(text, extra=(), own=True):
    """(text with each secret as `[masked:KIND]`, ((kind, how many), …)).

    `extra` are the user's own (kind, regular expression); what is no pattern counts as `bad-pattern`; not `own`:
    those that `mask_also` named are left out. A JSON text stays one.
    """
    extra = [*extra, *_also] if own else list(extra)
    within = {}
    if DEEP in text:
        from orchestrator.model import masking

        text = masking.deeper(text, within, lambda part: redact(part, extra, own=False))
    clean, found = _redacted(text, extra)
    if clean != text:
        from orchestrator.model import masking

        clean, found = masking.mend(text, clean, found, lambda part, without=(): _redacted(part, extra, without))
    for kind, times in within.items():
        found[kind] = found.get(kind, 0) + times
    return clean, tuple(sorted(found.items()))


def _redacted(text, extra, without=()):
    found = {}
    for _ in range(ROUNDS):
        tokens, rules, named = traces(text)
        if without:
            rules, named = [rule for rule in rules if rule not in without], named and NAMED not in without
        if not (tokens or rules or named or extra):
            break
        before = text
        for shape in tokens:
            text = _mask_tokens(text, shape, found)
        if rules or named or extra:
            from orchestrator.model import masking

            text = masking.mask(text, rules, named, extra, found)
        if text == before:
            break
    return text, found


def traces(text):
    """What a text might hold: shapes of tokens, rules of `masking`, and whether a named value."""
    tokens, rules = [shape for shape in _BROKEN if shape[0] in text], []
    for word in text.translate(_APART).split():
        if len(word) >= SHORTEST_TOKEN:
            for cut in range(6):  # the letters of an escape before it: \n, %3D, \u000a, those of a colour
                rest = word[cut:].lstrip("_.-")
                for shape in _shapes(rest[:2]):
                    if rest.startswith(shape[0]) and shape not in tokens:
                        tokens.append(shape)
            for at in _joints(word):
                for shape in _shapes(word[at:at + 2], sure=True):
                    if word.startswith(shape[0], at) and shape not in tokens:
                        tokens.append(shape)
            if len(word) > sum(DISCORD) and word.count(".") > 1 and "discord-token" not in rules and _is_discord(word.split(".")):
                rules.append("discord-token")
            for rule, piece, least in WITHIN:
                if len(word) >= least and piece in word and rule not in rules:
                    rules.append(rule)
    low = lowered(text)
    for rule, one, two, three in TRACES + OF_COMMANDS if OPTION in low else TRACES:
        if one in low and two in low and three in low and rule not in rules and _GUARDS.get(rule, _always)(low):
            rules.append(rule)
    return tokens, rules, _names_a_value(low)


def _is_discord(parts):
    """Whether three of these parts in a row are as long as those of a Discord bot's token."""
    sizes = [len(part) for part in parts]
    return any(one >= DISCORD[0] and two == DISCORD[1] and three >= DISCORD[2]
               for one, two, three in zip(sizes, sizes[1:], sizes[2:]))


def lowered(text):
    """The text in lower case, each character in its place."""
    low = text.lower()
    return low if len(low) == len(text) else text.replace("\u0130", "i").lower()


def _always(low):
    return True


def _url_with_password(low):
    for mark in ("://", ":\\"):
        for at in places(low, mark):
            head = low[at + 1:at + 800].lstrip("\\")
            if head[:1] != "/":
                continue
            head, found, _ = head.lstrip("\\/").partition("@")
            if found and ":" in head and not any(c in head for c in " /\"'<>\n"):
                return True
    return False


def _assigned(word):
    def guard(low):
        for at in places(low, word):
            if low[at + len(word):at + len(word) + 64].lstrip(QUOTING)[:1] in (":", "=", ","):
                return True
        return False
    return guard


def _cookie(low):
    """Whether cookies are named, or given to curl."""
    return _assigned("cookie")(low) or "--cookie " in low or "curl " in low and " -b" in low


def _telegram(low):
    return any(low[at - 8:at].isdigit() for at in places(low, ":aa") if at >= 8)


def _in_a_statement(low):
    """Whether a password in quotes stands where SQL has one."""
    return any(word in low[max(0, at - 320):at] for at in places(low, "password ") if low[at + 9:at + 10] in ("'", '"', "\\")
               for word in ("create", "alter", "grant", "with ", "encrypted ", "login "))


def _access_token(low):
    """Whether a name ends in PAT, and no word goes on from there."""
    return any(low[at + 4:at + 5] in ("=", ":", '"', "'", "\\", " ") for at in places(low, "_pat"))


def _salesforce(low):
    return any(low[at - size:at - size + 3] == "00d" for at in places(low, "!") for size in (15, 18) if at >= size)


def _identified_by(low):
    """Whether something in quotes stands behind `identified by`."""
    for at in places(low, "identified"):
        after = low[at + 10:at + 160]
        if "by" in after and ("'" in after or '"' in after):
            return True
    return False


def _user_and_password(low):
    """Whether something in quotes stands where a call or an assignment has a user and a password."""
    return any(low[at + len(word):at + len(word) + 40].lstrip(" \\")[:1] in ("'", '"')
               for word in ("auth=(", "auth = (", "basicauth(", ".login(") for at in places(low, word))


_GUARDS = {"login-pair": _user_and_password, "sql-password": _in_a_statement, "sql-identified": _identified_by,
           "url-password": _url_with_password, "telegram-token": _telegram, "access-token": _access_token,
           "salesforce-token": _salesforce, "cookie": _cookie, "authorization": _assigned("authorization")}


def places(text, piece):
    """Each place where a piece stands in a text."""
    at = text.find(piece)
    while at >= 0:
        yield at
        at = text.find(piece, at + len(piece))


def _names_a_value(low):
    """Whether something called a secret seems to be given a value."""
    for word, family in NAMES:
        for at in places(low, word):
            if is_given_a_value(low, at, word, family):
                return True
    return False


def is_given_a_value(low, at, word, family):
    """Whether the word at this place of a lower-case text ends the name of what is given a value."""
    if word == "key" and not low[max(0, at - 16):at].rstrip("_- ").endswith(KEYS):
        return False
    tail, longer = low[at + len(word):at + len(word) + 128], LONGER.get(word)
    if longer and tail.startswith(longer):
        for more in longer:
            if tail.startswith(more):
                tail = tail[len(more):]
                break
    rest = tail.lstrip(NAME)
    if tail[:1] == "s" or len(tail) - len(rest) > 32:
        return False  # tokens, secrets: a number or a list of them
    value, pair = rest.lstrip(QUOTING), "value" in rest
    first = value[:1]
    if first not in _GIVES and not pair:
        if first == ",":
            if rest[:1] not in ("\\", '"', "'", "`"):
                return False
        elif first == "(":  # .setPassword("…")
            return value[1:].lstrip(" \\")[:1] in ("'", '"', "`")
        elif first == "*" or first == "|":  # **Password**: …, a table's cell
            if value.lstrip("*")[:1] not in (":", "|"):
                return False
        elif first == "[" or first == "s" and value[:8] == "string =":  # char password[16] = "…", var password string = "…"
            value = value.lstrip("[" + ALNUM).lstrip(QUOTING)
            if value[:1] != "=":
                return False
        elif rest[:1] not in (" ", "\t") or not _takes_a_word(low, at):
            return False
    run = value.lstrip(QUOTING + ":=,>?+|*").replace('"', " ").replace("'", " ").replace("\\", " ")
    run = run.split(None, 1)
    if not run or family == "phrase" or pair:
        return bool(run)
    if run[1:] and run[1][0] == "=" or run[0] in ("-", "n", "r", "-n", "-r"):
        return True  # a type stands between, or a line end
    return len(run[0]) >= 4 and (family == "password" or not run[0].rstrip(",;)]}").isdigit())


_GIVES = (":", "=", ">", "?", "+")  # what stands between a name and its value


def _takes_a_word(low, at):
    """Whether the name here is an option of a command or the name in a Dockerfile's ENV."""
    before = low[at - 40 if at > 40 else 0:at]
    return "--" in before or "env " in before or "setx " in before or "define " in before


def _mask_tokens(text, shape, found):
    """The text with each token of one shape masked."""
    beginning, kind, alphabet, least = shape
    parts, done, seen = [], 0, 0
    bare, sure = beginning.isalnum(), beginning in SURE  # a bare one could be a part of something in base64
    for at in places(text, beginning):
        if at < seen or not _starts_here(text, at, sure) or (bare and text[at - 1:at] in ("+", "/")):
            continue
        start = seen = at + len(beginning)
        while True:
            chunk = text[seen:seen + 4096]
            kept = len(chunk) - len(chunk.lstrip(alphabet))
            seen += kept
            if kept < 4096:
                break
        tail = text[start:seen].rstrip(".")  # the end of a sentence
        if len(tail) >= least and _is_tail(tail, alphabet) and (kind != "jwt" or _has_two_parts(tail)):
            parts += (text[done:at], "[masked:%s]" % kind)
            found[kind] = found.get(kind, 0) + 1
            done = seen = start + len(tail)
    return "".join(parts) + text[done:] if parts else text


def _has_two_parts(tail):
    parts = tail.split(".", 2)
    return len(parts) > 1 and len(parts[0]) >= 8 and len(parts[1]) >= 8


def _joints(word):
    """The places within a word after what joins its parts, as far as a token could still follow."""
    for mark in "-_.":
        at = word.find(mark, 1, 1 - SHORTEST_TOKEN)
        while at >= 0:
            yield at + 1
            at = word.find(mark, at + 1, 1 - SHORTEST_TOKEN)


def _starts_here(text, at, sure):
    """Whether a word starts here: after anything but a letter or a digit, the letters of an escape aside. A `sure`
    beginning may also stand within a name, after what joins its words."""
    if text[at - 1:at] == "\\" and text[at] in "nrtbfu":
        return False  # the letter of an escape
    if sure and text[at - 1:at] in ("-", "_", "."):
        return True
    while at and text[at - 1] in "_.-":
        at -= 1
    if at == 0 or not text[at - 1].isalnum() or ord(text[at - 1]) > 127:
        return True
    if text[at - 1] in "nrtbf" and text[at - 2:at - 1] == "\\":
        return True
    if text[at - 1] in "mK" and text[max(0, at - 12):at - 1].rstrip("0123456789;").endswith(("\x1b[", "1b[", "33[")):
        return True  # a colour
    return at >= 3 and (text[at - 3] == "%" or text[max(0, at - 6):at - 4] == "\\u")


def is_random(text):
    """Whether a text was drawn by a machine: no placeholder, and no words joined by hyphens or capitals."""
    low = text.lower()
    if any(map(low.__contains__, PLACEHOLDERS)) or len(set(low)) < 6:
        return False
    return any(map(_mixed, text.translate(_PIECES).split()))


def _is_tail(tail, alphabet):
    """Whether what follows a token's beginning was drawn by a machine. The beginning has said most of it."""
    low = tail.lower()
    if any(map(low.__contains__, PLACEHOLDERS)) or len(set(low)) < 6:
        return False
    digits, rises = any(map(str.isdigit, tail)), tail != low and tail != tail.upper()
    return alphabet == UPPER or (digits and rises) or is_random(tail) or (
        sum(a.islower() and b.isupper() for a, b in zip(tail, tail[1:])) >= 2)


_PIECES = str.maketrans("_-.+/=:,", "        ")


def _mixed(piece):
    """Whether letters and digits, or small and capital letters, alternate more than in a word or a name."""
    if len(piece) < 6 or not piece.isascii():
        return False
    turns, rises, before = 0, 0, ""
    for char in piece:
        if before and before.isdigit() != char.isdigit():
            turns += 1
        elif before.islower() and char.isupper():
            rises += 1
        before = char
    if turns >= 2:  # Base64Encoder has two turns as well
        return turns >= 4 or turns + rises >= 0.22 * len(piece) or (len(piece) >= 16 and piece.isupper())
    return len(piece) >= 20 and rises + turns >= 0.22 * len(piece)
