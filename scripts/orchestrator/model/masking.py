"""Patterns of redaction: shapes of secrets that literals cannot tell. Imported only where one left a trace.

Every pattern is bounded, or goes on where its last match ended, so that time grows with the text; the user's own
have a deadline. What is masked holds no double quote and neither begins nor ends inside an escape: JSON stays
JSON. Where it did not, it is masked string by string.
"""

from orchestrator.model import deadline, named_values, private_keys
from orchestrator.model.named_values import compiled
from orchestrator.model.private_keys import BREAK, LINES
from orchestrator.model.redact import DEEP, NAMED, PLACEHOLDERS, is_random, lowered, traces

QUOTE = r"(?:\\{0,31}[\"'`])?"
# from one line to the next, or to the next word; a line may be numbered, or one of a diff
NEXT = BREAK + r"{1,16}(?:(?:\d{1,6}(?:[\t:|\u2192]|\\{1,31}(?:t|u2192))|[+>-])" + BREAK + "{0,8})?"
SLASH = r"\\{0,31}/"  # also as JSON may write it, and JSON in JSON
# A word's first character: none that is the letter of an escape.
START = r"(?:(?<![A-Za-z0-9\\])|(?<=\\)(?![nrtbfu])|(?<=\\[nrtbf])|(?<=\\u[0-9A-Fa-f]{4})|(?<=%[0-9A-F]{2})" \
    r"|(?<=\[[Km])|(?<=\[\dm)|(?<=[\[;]\d\dm))"  # behind a colour
HEADER = START + r"(?P<keep>(?i:(?:proxy-)?authorization)" + QUOTE + r"\]?\s{0,4}(?:=>|[:=,])\s{0,4}" + QUOTE
WORD = r"[^\s\"'\\]"
MACHINE = "machine" + BREAK + "{1,8}" + WORD + "{1,256}"
INTO = r"(?P<also>\\{0,31}[\"']?[ ]{0,4}\|[ ]{0,4}(?:sudo[ ]{1,4})?"  # a pipe to a command, behind what is written into it
STRING = r'"(?:[^"\\]|\\.)*"'
CLOSED_OR_NOT = r'"(?:[^"\\]|\\[\s\S])*(?:"|\\?\Z)'  # else each quote in one that is not closed would be tried
WALL = r"\[masked:[a-z0-9-]{1,40}\]|\\(?:u[0-9A-Fa-f]{4}|.)|[\"\\\x00-\x1f]"


def _any(value):
    return True


def _given(value):
    """Whether a password that stands where passwords stand is one, and no name or reference."""
    low = value.lower()
    if len(value) < 3 or set(low) <= set("x*.-_") or low in named_values.WORDS:
        return False
    if low in ("abc", "bar", "xyz"):
        return False
    return value[0] not in "$%{<[&" and "&lt;" not in low and not any(map(low.__contains__, PLACEHOLDERS))


def _credential(value):
    if "=" in value.rstrip("="):
        return False  # Digest username=, AWS4-HMAC-SHA256 Credential=
    return _given(value) and (is_random(value) or (any(map(str.isdigit, value)) and len(value) >= 12))


def _basic(value):
    return _given(value) and not value.islower() and not value.isupper() and len(value) >= 8


def _in_base64(value):
    return _basic(value) and (value.endswith("=") or any(map(str.isdigit, value)))


def _given_in_sql(value):
    """Whether a password of a statement is one: no name of a password."""
    low = value.lower()
    return _given(value) and low.replace("_", "").replace("-", "") not in named_values.WORDS and (
        not low.endswith(("_password", "_pass", "-password")))


def _said_in_quotes(value):
    """The same where the sentence may be no statement: identified by 'name'."""
    return _given_in_sql(value) and not value.isalpha() and named_values.is_password(value, value.lower(), True)


def _made_up(value):
    """Whether something in quotes behind a user's name is a password."""
    return _given_in_sql(value) and named_values.is_password(value, value.lower(), True)


def _said(value):
    """Whether what a sentence says a password is is one: made of letters and digits or signs, and no word with a number."""
    if value.isalpha() or value.isdigit() or value.isalnum() and not (is_random(value) or value[-2:].isdigit()):
        return False
    return _given_in_sql(value) and named_values.is_password(value, value.lower(), False)


def _discord(value):
    first, _, last = value.split(".")
    return all(part != part.lower() and part != part.upper() and is_random(part) for part in (first, last))


QUOTED = r"\\{0,31}[\"'])[^\"'\\\r\n]{3,128}(?P<also>\\{0,31}[\"'])"  # what a group `keep` ends with, and its value
BY = r"(?:[ \t]{1,4}with[ \t]{1,4}[\w\"']{1,40})?[ \t]{1,4}by[ \t]{1,4}(?:password[ \t]{1,4})?"
SPAN = r"(?:[^\r\n\\&|;]|\\{1,31}[\"'])"  # within one command of a line, its quotes also as JSON writes them
SQL_USER = r"(?:create|alter|grant)[ \t]" + SPAN + r"{1,160}?[ \t]"


# rule -> ((kind, pattern, whether a value is believed), …); the groups `keep` and `also` stay.
_RULES = {
    "putty-key": (("private-key", r"(?P<keep>Private-Lines:[ ]?\d{1,4}" + BREAK + "+)" + LINES, _any),),
    "jwk": (("private-key", r"(?P<keep>\\{0,31}\"(?:d|p|q|dp|dq|qi|k)\\{0,31}\"\s{0,4}:\s{0,4}\\{0,31}\")"
                            r"[A-Za-z0-9_-]{20,}", is_random),),
    "url-password": (("url-password", r"(?P<keep>:(?:" + SLASH + r"){2}(?:\[masked:[a-z0-9-]{1,40}\])?[^\s/:@\"'<>\\`\[]{0,256}:)"
                      r"[^\s\"'<>\\/`]{1,512}(?P<also>@)", _given),),
    "authorization": (
        ("authorization", HEADER + r"(?i:basic\s{1,4}))[A-Za-z0-9+/=_-]{6,2048}", _basic),
        ("authorization", HEADER + r"[A-Za-z][A-Za-z0-9-]{2,20}[ ]{1,4})[A-Za-z0-9._~+/=|-]{8,4096}",
         _credential),
        ("authorization", HEADER + r")[A-Za-z0-9._~+/=|-]{16,4096}(?![(\[])", is_random)),
    "bearer": (("bearer", START + r"(?i:(?P<keep>bearer\s{1,4}))[A-Za-z0-9._~+/=-]{12,4096}", _credential),),
    "telegram-token": (("telegram-token", "(?:" + START + r"|(?<=/bot))\d{8,10}:AA[A-Za-z0-9_-]{32,34}"
                                          r"(?![A-Za-z0-9_-])", is_random),),
    "terraform-token": (("terraform-token", START + r"[A-Za-z0-9]{14}\.atlasv1\.[A-Za-z0-9_=-]{40,}",
                         is_random),),
    "slack-webhook": (("slack-webhook", r"(?P<keep>hooks\.slack\.com" + SLASH
                       + "(?:services|workflows|triggers)" + SLASH + r")[A-Za-z0-9_]+(?:" + SLASH
                       + r"[A-Za-z0-9_]+){1,4}", is_random),),
    "discord-webhook": (("discord-webhook", r"(?P<keep>/webhooks" + SLASH + r"\d{15,20}" + SLASH
                         + r")[A-Za-z0-9_-]{50,}", is_random),),
    "teams-webhook": (("teams-webhook", r"(?P<keep>webhook\.office\.com" + SLASH + "webhookb2" + SLASH
                       + r")(?:[A-Za-z0-9@-]|" + SLASH + "){40,}", is_random),),
    "azure-key": (("azure-key", START + r"[A-Za-z0-9_~.-]{3}\dQ~[A-Za-z0-9_~.-]{31,40}", is_random),
                  ("azure-key", START + r"[A-Za-z0-9]{70,80}AZDO[A-Za-z0-9]{4}", is_random)),
    "azure-sas": (("azure-sas", START + r"(?P<keep>sig=)[A-Za-z0-9%+/=]{40,128}", is_random),),
    "docker-auth": (("docker-auth", r"(?P<keep>\"auth\\{0,31}\"\s{0,4}:\s{0,4}\\{0,31}\")"
                                    r"[A-Za-z0-9+/=_-]{12,}", _any),),
    "netrc-password": (
        ("password", "(?i)(?P<keep>(?:" + MACHINE + r"|(?:(?<![^\r\n\t])|(?<=\\[nrt]))default)(?:" + NEXT + "(?:login|account)"
         + BREAK + "{1,8}" + WORD + "{1,256}){1,2}" + NEXT + "password" + BREAK + "{1,8})" + WORD + "{3,256}", _given),
        ("password", "(?i)(?P<keep>" + MACHINE + NEXT + "password" + BREAK + "{1,8})" + WORD + "{3,256}(?=" + NEXT + "login)",
         _given)),
    "command-password": (
        ("password", r"(?P<keep>curl (?:[^\r\n]|\\\r?\n){0,200}?(?:-u|--user)[ =]{0,2}" + QUOTE
         + r"[^\s:'\"\\]{1,128}:)" + WORD + "{3,256}", _given),
        ("password", r"(?P<keep>sshpass\s{1,4}-p\s{0,2}" + QUOTE + ")" + WORD + "{3,128}", _given),
        ("password", r"(?P<keep>mysql(?:dump|admin)?\s[^\r\n\"'\\]{0,200}?\s-p" + QUOTE + ")" + WORD + "{3,128}", _given)),
    "aws-key": (("aws-key", r"(?P<keep>(?:(?:AKIA|ASIA)[A-Z0-9]{16}|\[masked:aws-key\])" + QUOTE
                 + r"\s{0,2}[,;|]\s{0,40}" + QUOTE + r")[A-Za-z0-9/+]{40}(?![A-Za-z0-9/+=])", is_random),),
    "aws-secret": (
        ("aws-key", r"(?i)(?P<keep>(?:secret_access_key|secret access key \[[^\]\r\n]{0,64}\]:)[ ]{1,4}" + QUOTE
         + r")[A-Za-z0-9/+]{40}(?![A-Za-z0-9/+=])", is_random),
        ("aws-key", r"(?i)(?P<keep>aws_session_token[ ]{1,4}" + QUOTE + r")[A-Za-z0-9/+=]{100,4096}", is_random)),
    "sentry-key": (("sentry-key", r"(?P<keep>https?:(?:" + SLASH + r"){2})[0-9a-f]{32}(?P<also>@[A-Za-z0-9])", is_random),),
    "discord-token": (("discord-token", START + r"[A-Za-z0-9_-]{24,26}\.[A-Za-z0-9_-]{6}\.[A-Za-z0-9_-]{27,38}(?![A-Za-z0-9_-])",
                       _discord),),
    "secret-set": (
        ("secret", r"(?P<keep>gh secret set " + SPAN + r"{1,120}?[ ](?:--body|-b)[ =]{0,2}" + QUOTED, _given),
        ("secret", r"(?P<keep>gh secret set " + SPAN + r"{1,120}?[ ](?:--body|-b)[ =]{1,2})" + WORD + "{3,4096}", _given)),
    "login-password": (("password", r"(?P<keep>(?:docker|podman|nerdctl|buildah|skopeo|oras|registry|az|oc)[ ]login(?=[ ])"
                        + SPAN + r"{0,200}?[ ](?:-u|--username)[ =]" + SPAN + r"{1,200}?[ ](?:-p|--password)[ =]" + QUOTE
                        + ")" + WORD + "{3,256}", _given),),
    "sql-identified": (
        ("password", r"(?P<keep>IDENTIFIED(?i:" + BY + ")" + QUOTED, _given_in_sql),
        ("password", r"(?i)(?P<keep>" + SQL_USER + "identified" + BY + QUOTED, _given_in_sql),
        ("password", r"(?i)(?P<keep>identified" + BY + QUOTED, _said_in_quotes)),
    "sql-password": (
        ("password", r"(?P<keep>(?:WITH|ENCRYPTED|LOGIN) PASSWORD " + QUOTED, _given_in_sql),
        ("password", r"(?i)(?P<keep>" + SQL_USER + "password " + QUOTED, _given_in_sql),
        ("password", r"(?i)(?P<keep>(?:with|encrypted|login) password " + QUOTED, _said_in_quotes)),
    "client-password": (
        ("password", r"(?P<keep>redis-cli(?=[ ])" + SPAN + r"{0,200}?[ ](?:-a|--pass)[ =]" + QUOTE + ")" + WORD + "{3,256}",
         _given),
        ("password", r"(?P<keep>mongo(?:sh|dump|restore|export|import)?(?=[ ])" + SPAN + r"{0,200}?[ ](?:-u|--username)[ =]"
         + SPAN + r"{1,200}?[ ](?:-p|--password)[ =]" + QUOTE + ")" + WORD + "{3,256}", _given),
        ("password", r"(?P<keep>sqlcmd(?=[ ])" + SPAN + r"{0,200}?[ ]-P[ ]?" + QUOTE + ")" + WORD + "{3,256}", _given),
        ("password", r"(?P<keep>ldap(?:search|modify|add|delete|passwd|whoami|compare|modrdn)(?=[ ])" + SPAN
         + r"{0,200}?[ ]-w[ ]" + QUOTE + ")" + WORD + "{3,256}", _given),
        ("password", r"(?P<keep>[ ]-(?:src|dest|new)?(?:store|key)pass[ ]{1,4}" + QUOTE + ")" + WORD + "{3,256}", _given),
        ("password", r"(?P<keep>[ ]-pass(?:in|out)?[ ]{1,4}" + QUOTE + "pass:)" + WORD + "{3,256}", _given),
        ("password", START + r"(?P<keep>(?:un)?zip(?=[ ])" + SPAN + "{0,200}?[ ]-P[ ]?" + QUOTE + ")" + WORD + "{3,256}",
         _given),
        ("password", START + r"(?P<keep>7z[ar]?(?=[ ])" + SPAN + "{0,200}?[ ]-p" + QUOTE + ")" + WORD + "{3,256}",
         _given),
        ("password", r"(?P<keep>ssh-keygen(?=[ ])" + SPAN + "{0,200}?[ ]-N[ ]?" + QUOTE + ")" + WORD + "{3,256}", _given),
        ("password", r"(?P<keep>gpg2?(?=[ ])" + SPAN + "{0,200}?[ ]--passphrase[ =]" + QUOTE + ")" + WORD + "{3,256}", _given),
        ("password", r"(?P<keep>ConvertTo-SecureString(?:[ ]-String)?[ ]{1,4}" + QUOTED, _given)),
    "piped-password": (
        ("password", r"(?P<keep>echo[ ]{1,4}" + QUOTE + r"[^\s:\"'\\]{1,64}:)" + WORD + "{3,128}" + INTO + "chpasswd)", _given),
        ("password", r"(?P<keep>(?:echo|printf)[ ]{1,4}(?:-n[ ]{1,4})?" + QUOTE + ")" + WORD + "{3,256}" + INTO
         + r"(?:-[A-Za-z]{0,8}S|[^\r\n|;&\"']{1,200}--password-stdin))", _given)),
    "settings-password": (
        ("password", r"(?P<keep>(?:(?<![^\r\n])|(?<=\\n)|(?<=SET )|(?<=set )|(?<=--))requirepass[ ]{1,4}" + QUOTE
         + ")" + WORD + "{3,256}", _given),
        ("password", START + r"(?P<keep>psk=\\{0,31}[\"'])[^\"'\\\r\n]{8,63}(?P<also>\\{0,31}[\"'])", _given)),
    "login-pair": (("password", r"(?P<keep>(?:auth(?: = |=)\(|BasicAuth\(|\.login\()[ ]{0,4}\\{0,31}[\"'][^\"'\\\r\n]{1,128}"
                                r"\\{0,31}[\"'],[ ]{0,4}\\{0,31}[\"'])[^\"'\\\r\n]{3,128}(?P<also>\\{0,31}[\"']\))", _made_up),),
    "said-password": (("password", r"(?P<keep>(?i:password)[ ](?:is[ ]{1,2}" + QUOTE + "|(?:to[ ])?`))" + WORD
                                   + r"{5,128}(?<![.,;:)`])", _said),),
    "join-token": (("token", r"(?P<keep>--token[ =]" + QUOTE + r")[a-z0-9]{6}\.[a-z0-9]{16}(?![A-Za-z0-9])", _given),),
    "login-key": (
        ("wandb-key", r"(?P<keep>wandb login (?:--?[a-z-]{1,30}(?:[ =]https?:[^\s\"'\\]{1,100})?[ ]){0,4}" + QUOTE
         + r")[0-9a-f]{40}(?![A-Za-z0-9])", is_random),
        ("ngrok-token", r"(?P<keep>authtoken[ ]{1,4}" + QUOTE + r")[A-Za-z0-9_]{25,64}(?![A-Za-z0-9_])", is_random)),
    "pgpass": (("password", START + r"(?P<keep>[A-Za-z0-9.*-]{1,253}:5432:[A-Za-z0-9_*.-]{1,64}:[A-Za-z0-9_*.@-]{1,64}:)"
                                    r"[^\s\"'\\:]{3,256}", _given),),
    "gradle-password": (("password", r"(?P<keep>(?:store|key)Password[ ]{1,4}" + QUOTED, _given),),
    "access-token": (("token", r"(?P<keep>(?i:_pat)" + QUOTE + r"[ ]{0,4}[=:][ ]{0,4}" + QUOTE + r")[A-Za-z0-9_-]{20,256}",
                      is_random),),
    "npmrc": (("password", r"(?P<keep>(?:(?<![A-Za-z0-9_.$\\])|(?<=\\[nrtbf])|(?<=\\u[0-9A-Fa-f]{4}))_(?:auth|password)[ ]?=[ ]?"
               + QUOTE + r")[A-Za-z0-9+/]{8,4096}={0,2}(?![A-Za-z0-9(.\[])", _in_base64),),
    "server-key": (("key", r"(?P<keep>(?i:server_?key)" + QUOTE + r"\s{0,4}(?:=>|[:=])\s{0,4}\\{0,31}[\"'])"
                           r"[A-Za-z0-9_:-]{20,256}", is_random),),
    "composer-token": (("token", r"(?P<keep>github-oauth(?:\\{0,31}\"" + BREAK + "{0,4}:" + BREAK + r"{0,16}\{" + BREAK
                        + r"{0,16}\\{0,31}\"[A-Za-z0-9.-]{1,100}\\{0,31}\"" + BREAK + "{0,4}:" + BREAK + r"{0,4}\\{0,31}\""
                        + r"|\.[a-z.]{3,60}[ ]{1,4}" + QUOTE + "))[A-Za-z0-9_]{20,255}", is_random),),
    "header-key": (("key", r"(?P<keep>(?i:x-honeycomb-team|dd-application-key)" + QUOTE + r"\]?\s{0,4}(?:=>|[:=,])\s{0,4}"
                    + QUOTE + r")[A-Za-z0-9_-]{16,128}", is_random),),
    "git-url": (("url-password", r"(?P<keep>https?:(?:" + SLASH + r"){2})[0-9a-f]{40}(?P<also>@git)", is_random),),
    "newrelic-license": (("newrelic-key", START + r"(?:[a-z]{2}\d{2}[a-z]{2})?[0-9a-f]{26,36}(?:FFFF)?NRAL(?![A-Za-z0-9])",
                          is_random),),
    "mailchimp-key": (("mailchimp-key", START + r"[0-9a-f]{32}-us\d{1,2}(?![A-Za-z0-9-])", is_random),),
    "firebase-key": (("google-key", START + r"AAAA[A-Za-z0-9_-]{7}:APA91b[A-Za-z0-9_-]{100,256}", is_random),),
    "salesforce-token": (("salesforce-token", START + r"00D[A-Za-z0-9]{12}(?:[A-Za-z0-9]{3})?![A-Za-z0-9._]{60,256}",
                          is_random),),
    "twitter-token": (("twitter-token", START + r"A{20,24}[A-Za-z0-9]{16,100}%[0-9A-F]{2}[A-Za-z0-9%]{10,128}", is_random),),
    "paypal-token": (("paypal-token", r"access_token\$(?:production|sandbox)\$[a-z0-9]{16}\$[0-9a-f]{32}",
                      is_random),),
}


def mask(text, rules, named, extra, found):
    """The text with what these rules, the named values and the user's own patterns find masked."""
    for rule in rules:
        if rule == "private-key":
            text = private_keys.mask(text, found)
        elif rule == "cookie":
            text = _mask_cookies(text, found)
        else:
            for kind, pattern, believed in _RULES[rule]:
                text = compiled(pattern).sub(_replacer(kind, believed, found), text)
    if named:
        text = named_values.mask(text, lowered(text), found)
    bad = 0
    for kind, pattern in extra:
        ready = _own(pattern)
        if ready is None:
            bad += 1
        else:
            text = _mask_own(text, kind, ready, found)
    if bad:
        found["bad-pattern"] = bad
    return text


def _replacer(kind, believed, found):
    def replace(match):
        groups = match.groupdict()
        keep, also = groups.get("keep") or "", groups.get("also") or ""
        whole = match.group()
        value = whole[len(keep):len(whole) - len(also)]
        if "[masked:" in value or keep.endswith("[masked:") or not believed(value):
            return whole
        if keep[-1:] == '"' and _is_between_strings(value):
            return whole
        found[kind] = found.get(kind, 0) + 1
        return "%s[masked:%s]%s" % (keep, kind, also)
    return replace


def _is_between_strings(value):
    """Whether what follows a quote stands outside of strings, as that quote closed one: nothing but what holds a document's or
    a program's parts together, and its numbers."""
    return value.lstrip()[:1] in tuple(",:;)]}") and (
        len(value) > 100 or bool(compiled(r"(?:[\s,:;()\[\]{}]|true|false|null|-?[0-9][0-9.eE+-]*)+\Z").match(value)))


def _mask_cookies(text, found):
    """The text without the values of cookies that were drawn by a machine; their names stay."""
    pair = compiled(r"(?P<keep>(?<![A-Za-z0-9_.$-])[A-Za-z0-9_.$-]{1,64}=)[^;,\s]{8,4096}")
    replace = _replacer("cookie", is_random, found)
    given = r"(?:cookies?" + QUOTE + r"\]?\s{0,4}[:=,]\s{0,4}|--cookie[ ]|curl(?=[ ])(?:[^\r\n]|\\\r?\n){0,200}?[ ]-b[ ]?)"
    header = compiled("(?i)" + given + QUOTE + r"[^\r\n\"'\\`]{4,8192}")
    return header.sub(lambda match: pair.sub(replace, match.group()), text)


def _own(pattern):
    """One of the user's patterns, compiled; None if it is none."""
    try:
        return compiled(pattern) if isinstance(pattern, str) else None
    except Exception:  # re.error and whatever else a regular expression can go wrong with
        return None


def _mask_own(text, kind, ready, found):
    """The text without what one of the user's own patterns finds, outside of masks; where looking takes too long, without
    the text, of a document without the strings that it takes too long in."""
    name = str(kind).lower().replace("_", "-")
    name = "".join(c for c in name if c.isascii() and (c.isalnum() or c == "-"))[:40] or "own"
    if text == "[masked:%s]" % name:
        return text
    spans = deadline.spans(ready, text)
    if spans is None and not _may_be_json(text) or spans is None and not _is_json(text):
        found[name] = found.get(name, 0) + 1
        return "[masked:%s]" % name
    if spans is None:
        return _each_string(text, lambda string: _mask_own_in(string, name, deadline.spans(ready, string), found))
    if not spans:
        return text
    counted = {}
    masked = _mask_own_in(text, name, spans, counted)
    if _may_be_json(text) and not _is_json(masked) and _is_json(text):
        strings, counted = [match.span() for match in compiled(STRING).finditer(text)], {}
        masked = _mask_own_in(text, name, spans, counted, strings)
    _count(found, counted)
    return masked


def _mask_own_in(text, name, spans, found, strings=None):
    """The text with these spans masked, between quotes, escapes and masks, so that a greedy pattern takes no JSON apart; if
    `strings` are given, only in those. None stands for the whole text."""
    if spans is None:
        found[name] = found.get(name, 0) + (text != "[masked:%s]" % name)
        return "[masked:%s]" % name
    walls = [match.span() for match in compiled(WALL).finditer(text)] if spans else ()
    parts, done, wall, inside = [], 0, 0, 0
    for start, end in spans:
        if strings is not None:
            while inside < len(strings) and strings[inside][1] <= start:
                inside += 1
            if inside == len(strings) or not strings[inside][0] < start <= end < strings[inside][1]:
                continue
        while start < end:
            while wall < len(walls) and walls[wall][1] <= start:
                wall += 1
            stop = min(end, walls[wall][0]) if wall < len(walls) else end
            if text[start:stop].strip(" ,:{}[]"):
                parts += (text[done:start], "[masked:%s]" % name)
                done = stop
                found[name] = found.get(name, 0) + 1
            start = max(stop, walls[wall][1]) if wall < len(walls) else stop
    return "".join(parts) + text[done:]


def mend(text, clean, found, redacted):
    """(clean, found), or where that is no JSON any more though the text was: masked without the rules that take it apart, and
    then each of its strings by itself, a name with its value where that does. `redacted` is what masks a text."""
    if not _may_be_json(text) or _is_json(clean) or not _is_json(text):
        return clean, found
    _, rules, named = traces(text)
    careless = [rule for rule in rules if not _is_json(mask(text, (rule,), False, (), {}))]
    if named and not _is_json(mask(text, (), True, (), {})):
        careless.append(NAMED)
    clean, found = redacted(text, careless)
    if _is_json(clean):
        text = clean
    else:
        found = {}

    def masked(part):
        kept, hits = redacted(part)
        _count(found, hits)
        return kept

    def each(match):
        part = match.group()
        kept, hits = redacted(part)
        if not _is_json("{%s}" % kept if match[1] else kept):
            return _each_string(part, masked)
        _count(found, hits)
        return kept
    return compiled(STRING + r"(\s*:\s*" + STRING + ")?").sub(each, text), found


def deeper(text, found, redacted):
    """The text with what `redacted` finds in strings that hold documents too deep for patterns, masked with one escape less."""
    import json

    def one(match):
        part = match.group()
        try:
            kept, hits = redacted(json.loads(part)) if DEEP in part else (part, ())
        except (ValueError, RecursionError):
            return part
        _count(found, dict(hits))
        return json.dumps(kept) if hits else part
    return compiled(CLOSED_OR_NOT).sub(one, text)


def _each_string(text, masked):
    """A JSON text with each of its strings masked."""
    import json

    def one(match):
        string = json.loads(match.group())
        kept = masked(string)
        return match.group() if kept == string else json.dumps(kept)
    return compiled(STRING).sub(one, text)


def _count(found, more):
    for kind, times in more.items():
        found[kind] = found.get(kind, 0) + times


def _may_be_json(text):
    return text[:64].lstrip()[:1] in ("{", "[", '"')


def _is_json(text):
    import json

    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True
