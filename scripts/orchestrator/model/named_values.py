"""Named values: what stands behind a name such as DB_PASSWORD or apiKey, and whether it is a secret.

The name alone decides nothing, because code and documentation speak of passwords all the time: the value must
look as if somebody or some machine had made it up. The forms are those of `.env` files, shells, YAML, TOML,
INI, JSON (also inside JSON strings), XML, query strings, connection strings, options of commands, and
assignments in code.
"""

from orchestrator.model.redact import PLACEHOLDERS, is_given_a_value, is_random, places
from orchestrator.model.secret_shapes import LONGER, NAME, NAMES

# Values that name a kind of thing, say something to a user or stand in a list of words.
WORDS = frozenset("""
    access_token accesstoken admin_password api_key apikey argon2 argon2id array ascii asterisk auth author
    authorization auto base64 basic bcrypt bearer bool boolean bytes changed changes char client_secret
    codec config confirm confirmation const current custom default digest disabled dynamic empty enabled
    encrypted enter env es256 expired external false field file forgot form function generated generic hash
    hashed header hidden hint hs256 hs384 hs512 identifier incorrect input int integer internal invalid json
    jwt key keyring keyword label legacy literal local login manual md5 mine missing mixed module name never
    new newpassword nil none normal null number numeric oauth oauth2 object off old oldpassword opaque
    optional option options other pass passwd password password1 password2 passwords pbkdf2 phrase plain
    plaintext private prompt property protected public pwd random raw read readonly refresh_token regex
    repeat required reset result rs256 saml scrypt secret secrets secretstr self session sha1 sha256 sha512
    shared show signature state static strict string string! strong submit symbol test text the this title
    toggle token tokens true type undefined unicode unknown unset update user username utf-8 utf8 uuid valid
    value values varchar weak wrong yaml
""".split())
# names of configuration files, where nothing but a value can follow
CONFIGURED = ("ansible_", "wpa_passphrase", "spring.", "dspring.", "quarkus.", "dquarkus.", "tf_var_")
LABELS = ("pass", "secret", "field", "label", "error")  # what a name for a password has in it
# …, and what names of three words have in them besides
MORE_LABELS = ("auth", "button", "confirm", "cred", "current", "default", "enter", "form", "hash", "input", "invalid", "key",
               "login", "must", "name", "page", "prod", "require", "reset", "service", "strength", "test", "text", "token",
               "type", "user", "valid", "value", "your")
REFERENCES = ("${", "{{", "$(", "#{", "<%", "%s", "%d", "{}", "{0}", ".*", "(?", "^[", "=>", "&&", "||", "://")
REFERRING = ("arn:", "vault:", "op:", "ref+", "env:", "secret:", "secrets.", "file:", "data:", "process.env",
             "os.environ", "self.", "this.", "config.", "var.", "keyof")
# What a token may be called that nobody needs to keep.
_NO_CREDENTIAL = (
    "page", "next", "continuation", "pagination", "sync", "cancel", "cancellation", "change", "lock",
    "publickey", "idempotency", "eos", "bos", "pad", "unk", "sep", "mask", "cls", "start", "end", "stop",
    "special", "first", "last", "max", "min")
_MORE = (
    r"(?i)(?:[_-]?(?:key|base|value|val|string|str|prod|production|dev|development|tests?|testing|staging|stage|live"
    r"|sandbox|old|new|raw|plain|text|b64|base64|hex|primary|secondary|main|default|local|ci|confirm|confirmation"
    r"|again|repeat|[a-z]?\d{1,4}))*\Z")
_AFTER = r"""(?x)
    (?P<more>[A-Za-z0-9_-]{0,32})
    (?P<closed>\[\d{0,6}\]|\*\*(?=:)|(?:\\{0,31}["'`])?\]?)
    (?: (?P<pair>[,;]?(?:[ \t\r\n]|\\{1,31}[nrt]){0,40}(?:(?:\d{1,6}[\t\u2192]|\d{1,6}\\{1,31}(?:t|u2192)|[+>-])[ \t]{0,40})?
                 (?:\\{0,31}["'])?[vV]alue(?:\\{0,31}["'])?[ \t]{0,4}[:=][ \t]{0,4})
    |   (?P<xml>>)
    |   (?P<sep>(?:[ \t]string(?=[ \t]=))?[ \t]{0,8}
                (?::[ \t]?[A-Za-z&\[][\w\[\]<>|?&.']{0,30}[ \t]{1,4}(?==[^=]))?   # a type
                (?:=>|:=|\?=|\+=|={1,3}|:\*\*|:)[ \t]{0,8}
                (?:(?P<block>[|>][+-]?)?(?:[\r\n]|\\{1,31}[nr])(?:[ \t\r\n+-]|\\{1,31}[nrt]){0,40}  # in the next line
                    (?:\d{1,6}(?:[\t\u2192]|\\{1,31}(?:t|u2192))[ \t]{0,40})?(?(block)|(?=\\{0,31}["'])))?)
    |   (?P<cell>[ \t]{1,40}\|[ \t]{1,4})
    |   (?P<comma>,[ \t]{0,8})
    |   (?P<call>\([ \t]{0,4}(?=\\{0,31}["'`]))
    |   (?P<blank>[ \t]{1,4})
    )"""
_OPEN = r"[rbfuRBFU@]{0,2}\\{0,31}([\"'`])"
_INSIDE = {quote: r"(?:[^%s\\\r\n]|\\\\(?![\\\"'`nrtu/])){1,80}" % ends
           for quote, ends in (('"', '"'), ("'", "'\""), ("`", "`\""))}
_BARE = r"[^\s\"'`\\<>\x1b]{1,80}"
_BARE_IN_CODE = r"[^\s\"'`\\<>\x1b,;|)}\]&]{1,80}"
_ELEMENT = r"[^<\"'`\\\r\n]{1,512}(?=<)"
_NUMBER = r"(?:-?[\d.eE+-]+|true|false|null)\Z"
_NO_TEXT = r"\(*(?:0[xX][0-9A-Fa-f]+[uUlL]*\)*(?![A-Za-z0-9_])|[A-Za-z_][A-Za-z0-9_]{0,80}[ ]?\()"  # a number or a call in C
_ALONE = r"[a-z]{6,40}(?=[ \t]{0,8}(?:[\r\n\\\"'`]|\Z))"  # a word that is all of a line of settings
_RULES = r"[a-z_]+(?::[\w,]+)?(?:\|[a-z_]+(?::[\w,]+)?)+\Z"  # required|min:8
_DOTTED = r"[A-Za-z_$][\w$]*(?:[.][A-Za-z_$][\w$]*)+\Z"
_CONNECTION = (
    r"(?i)(?:server|host|user ?id|uid|user|username|data source|dbname|database|driver)=[^;,\s'\"()]*"
    r"(?:;|[ \t]+)(?:[^;=,'\"()]{1,40}=[^;,\s'\"()]*(?:;|[ \t]+)){0,8}[^;=,'\"()]{0,24}\Z")


_READY = {}


def compiled(pattern):
    """A pattern, compiled once. `re` itself is loaded only now: a hook that finds no trace does without."""
    if pattern not in _READY:
        import re

        _READY[pattern] = re.compile(pattern)
    return _READY[pattern]


def mask(text, low, found):
    """The text with the values of secret names masked."""
    spans = []
    for word, family in NAMES:
        done = 0
        for at in places(low, word):
            if at >= done and is_given_a_value(low, at, word, family):
                span = _value_at(text, at, word, family)
                if span:
                    done = span[1]
                    spans.append(span + ("passphrase" if family == "phrase" else family,))
    parts, done = [], 0
    for start, end, kind in sorted(spans):
        if start >= done:
            parts += (text[done:start], "[masked:%s]" % kind)
            found[kind] = found.get(kind, 0) + 1
            done = end
    return "".join(parts) + text[done:] if parts else text


def _value_at(text, at, word, family):
    """(start, end) of the value given to the name that has this word here, if it is taken for a secret."""
    after = at + len(word)
    for more in LONGER.get(word, ()):
        if text[after:after + len(more)].lower() == more:
            after += len(more)
            family = "phrase" if more == "phrase" else family
    match = compiled(_AFTER).match(text, after)
    if not match or not compiled(_MORE).match(match["more"]):
        return None
    before = text[max(0, at - 160):at]
    stem = before.rstrip(NAME + ".$")
    prefix = before[len(stem):]
    if stem.endswith("\\") and prefix[:1] in tuple("nrtbfu"):  # the rest of an escape
        prefix = prefix[5 if prefix[0] == "u" else 1:]
    if stem.endswith(("\x1b[", "1b[", "33[", ";")) and prefix.lstrip("0123456789")[:1] == "m":
        prefix = prefix.partition("m")[2]  # a colour
    if "-" in prefix:
        prefix = compiled(r"\A.*-\d{1,6}-").sub("", prefix)  # file-12-, as grep writes it
    short = word in ("pass", "pw") and after == at + len(word)
    if short and prefix[-1:].isalpha() and text[at] != "P":
        return None  # bandpass, bypass
    if stem.endswith("::") or (stem.endswith(":") and match["sep"] == ":"):
        return None  # a part of an address or of a longer name
    if family == "token" and prefix.lower().rstrip("_-.").endswith(_NO_CREDENTIAL):
        return None
    name = prefix + text[at:match.end("more")]
    option = prefix.startswith("--") or stem.endswith(" --")
    if match["xml"]:
        return _in_element(text, match, family) if stem.endswith("<") else None
    if match["call"] and not (prefix.endswith(".") or prefix.rpartition(".")[2].lower().startswith(("set", "with"))):
        return None  # of a function, which may do anything with it
    if match["comma"] is not None and (short or not match["closed"]):
        return None  # words in a row
    if match["cell"] and not stem.rstrip(" \t`*").endswith("|"):
        return None
    if match["blank"] and not option and not stem.endswith(("ENV ", "setx ", "#define ")):
        return None
    opened = compiled(_OPEN).match(text, match.end())
    if opened:
        return _in_quotes(text, match, opened, family, name, short and not prefix)
    if match["comma"] is not None:
        return None
    if match["blank"] and stem.endswith("#define ") and compiled(_NO_TEXT).match(text, match.end()):
        return None
    as_is = bool(match["blank"]) and not option
    if (match["pair"] or match["sep"] == ": " and "_" in name) and name.isupper() and not match["closed"]:
        as_is = family == "password" and bool(compiled(_ALONE).match(text, match.end()))
    if match["sep"] == "=":
        as_is = option or (name.isupper() and stem[-1:] not in (".", "(", ",")) or (
            family == "password" and (stem[-1:] in ("?", "&") or bool(compiled(_CONNECTION).search(before))))
        as_is = as_is or stem.rstrip("\\\"' =").endswith(("--from-literal", "--set", "--set-string", "-var"))
    if match["sep"] in ("=", ":", ": ") and family in ("password", "phrase") and name.lower().lstrip("-").startswith(CONFIGURED):
        as_is = True
    return _in_the_open(text, match, family, as_is, as_is and name.isupper())


def _in_element(text, match, family):
    value = compiled(_ELEMENT).match(text, match.end())
    if value and (_believed(value.group(), family, True, False, "") or (family == "password" and _is_drawn(value.group()))):
        return value.span()
    return None


def _in_quotes(text, match, opened, family, name, alone):
    inside = compiled(_INSIDE[opened[1]])
    value = inside.match(text, opened.end())
    if not value or value.group().lstrip()[:1] in (",", ":", "]", "}", ")", ""):
        return None  # that quote closed a string, and what follows is in none
    made_up = value.group()
    if ((match["comma"] is not None or match["call"]) and made_up.isalpha()) or (alone and _is_wordlike(made_up)):
        return None
    if not _believed(made_up, family, True, match["sep"] == "=" and name.isupper(), ""):
        return None
    return value.start(), _end_of(inside, text, value.end())


def _in_the_open(text, match, family, as_is, env):
    value = compiled(_BARE).match(text, match.end())
    if not value:
        return None
    made_up = _cut(value.group(), env)
    if (match["closed"] or match["pair"]) and compiled(_NUMBER).match(made_up):
        return None  # a number of a JSON document, not of a string in it
    end = match.end() + len(made_up)
    if not _believed(made_up, family, False, as_is, text[end:end + 1]):
        return None
    if end == value.end():
        end = _end_of(compiled(_BARE if env else _BARE_IN_CODE), text, end)
    return match.end(), end


def _end_of(pattern, text, end):
    """Where a value ends that is longer than what it was judged by."""
    while True:
        more = pattern.match(text, end)
        if not more:
            return end
        end = more.end()


def _cut(value, env):
    """A bare value up to what ends it in code, a query or a connection string."""
    if not env:
        for mark in ",;|)}]&":
            value = value.partition(mark)[0]
    elif "&" in value and "=" in value.partition("&")[2]:
        value = value.partition("&")[0]
    return value.rstrip(",;")


def _believed(value, family, quoted, as_is, after):
    """Whether a value is a secret. `as_is`: it stands where nothing but a value can, as in a `.env` file."""
    low = value.lower()
    if len(value) < 4 or "[masked:" in value or low in WORDS or any(map(low.__contains__, PLACEHOLDERS)):
        return False
    if _refers(value, low) or "|" in value and compiled(_RULES).match(value) or set(low) <= set("x*.-_#?0"):
        return False
    if value.startswith(("/", "./", "../", "~")) and not (len(value) == 40 and is_random(value)):
        return False
    if family == "phrase":
        words = value.split()
        in_words = all(word.isalpha() and word.islower() for word in words)
        return is_random(value) or (in_words and (as_is or len(words) >= 3)) or (
            as_is and len(value) >= 8 and any(map(str.isdigit, value)))
    if any(map(str.isspace, value)):
        return as_is and family == "password"
    if value.isdigit():
        return family == "password" and (quoted or as_is or len(value) >= 6)
    if not (quoted or as_is) and _is_code(value, after) or not any(map(str.isalpha, value)):
        return False
    if family == "password":
        return as_is or is_password(value, low, quoted)
    if _is_made_up(value, quoted, as_is, 2 if family == "secret" else 0):
        return True
    if family == "secret":
        lower = value.isalpha() and value.isascii() and value.islower()
        return (as_is and len(value) >= 6) or (quoted and lower and len(value) >= 10)
    return as_is and len(value) >= 16 and value.isalpha()


def _is_code(value, after):
    """Whether a bare value is an expression."""
    marks = "::" in value or any(c in value for c in "([<>{}")
    return marks or after in ("(", "[") or bool(compiled(_DOTTED).match(value))


def _refers(value, low):
    """Whether a value is a variable, a template, a format or an address instead of a secret."""
    if value[0] in "<%{" or (value[0] == "$" and (value[1:2] in "{(_" or value[1:].isidentifier())):
        return True
    return any(map(value.__contains__, REFERENCES)) or low.startswith(REFERRING)


def _pieces(value):
    return [piece for piece in compiled(r"[-_./:@ ]+").split(value) if piece]


def _is_wordlike(value):
    """Whether a value is a name: words, perhaps numbered, and what joins them."""
    word = compiled(r"[A-Za-z]*\d{0,3}\Z")
    return all(word.match(piece) for piece in _pieces(value))


def is_password(value, low, quoted):
    """Whether a person made this up as a password, or a machine did."""
    pieces = _pieces(value)
    if quoted and len(pieces) > 1 and _is_wordlike(value):
        if len(pieces) == 3 and low.count("-") == 2 and all(piece.isalpha() and len(piece) > 3 for piece in pieces):
            return value == low and not any(word in low for word in LABELS + MORE_LABELS)  # correct-horse-battery
        return len(pieces) >= 4 and not any(word in low for word in LABELS)
    if value.isalpha():
        return quoted and value.isascii() and value.islower() and len(value) >= 6
    digits = any(map(str.isdigit, value))
    if quoted:
        return value.isascii() and not (len(pieces) > 1 and "pass" in low) and (
            digits or any(c in "!@#$^&*~+=?" for c in value[1:]))
    if len(value) < 6:
        return False
    if digits:
        return not (len(pieces) > 1 and _is_wordlike(value)) and "/" not in value and "%" not in value
    return any(c in "@#!^~" for c in value[1:-1]) or (value[-1] in "@#!^~$*" and _is_drawn(value[:-1]))


def _is_drawn(value):
    """Whether letters were drawn: capitals stand beside each other and change with small ones more than in a name."""
    if len(value) < 8 or not (value.isalpha() and value.isascii()):
        return False
    turns = sum(a.isupper() != b.isupper() for a, b in zip(value, value[1:]))
    beside = any(a.isupper() and b.isupper() for a, b in zip(value, value[1:]))
    return beside and turns >= 4 and turns >= 0.35 * len(value)


def _is_made_up(value, quoted, as_is, shorter):
    """Whether a value was drawn by a machine. Quotes, and then a good name, let a shorter one do."""
    digits = any(map(str.isdigit, value))
    if as_is and digits and len(value) >= 10 - shorter:
        return True
    if not value.isascii() or len(value) < (10 if quoted else 12) - shorter:
        return False
    if not quoted and ("*" in value or "?" in value):
        return False
    return is_random(value) and (quoted or as_is or digits)
