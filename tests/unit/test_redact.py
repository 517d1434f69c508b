"""Specification of redaction: secrets vanish, all else stays, JSON stays JSON, finding nothing is cheap."""

import json
import os
import re
import signal
import subprocess
import sys
import threading

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrator.model import deadline, masking, private_keys, secret_shapes
from orchestrator.model import redact as module
from orchestrator.model.redact import redact
from unit import secret_corpus

ROUNDS = 5  # draws of each template
SECRETS = [drawn for seed in range(ROUNDS) for drawn in secret_corpus.secrets(seed)]
INNOCENTS = [text for seed in range(ROUNDS) for text in secret_corpus.innocents(seed)]
MASK = re.compile(r"\[masked:[a-z0-9-]{1,40}\]")


def leftover(text, secret):
    """Whether a secret, or eight characters of it in a row, are still to be read."""
    clean, hits = redact(text)
    shown = MASK.sub("\0", clean)
    return not hits or any(secret[at:at + 8] in shown for at in range(max(1, len(secret) - 7)))


MASKED = [each for each in SECRETS if not leftover(*each[1:])]  # all but the hundredth that may be missed
SCRIPTS = os.path.dirname(os.path.dirname(os.path.dirname(module.__file__)))
LAX = settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))


def test_secrets_are_masked_and_innocents_are_not(capsys):
    """Of at least 200 shapes of secrets 99 % vanish whole; of at least 200 innocent texts 1 % changes."""
    missed = [text for _, text, secret in SECRETS if leftover(text, secret)]
    changed = [text for text in INNOCENTS if redact(text)[0] != text]
    with capsys.disabled():
        print("\nredaction: masked %d of %d, innocents changed %d of %d (%d and %d templates)" % (
            len(SECRETS) - len(missed), len(SECRETS), len(changed), len(INNOCENTS),
            len(SECRETS) // ROUNDS, len(INNOCENTS) // ROUNDS))
    assert len(SECRETS) // ROUNDS >= 200 and len(INNOCENTS) // ROUNDS >= 200
    assert len(missed) <= 0.01 * len(SECRETS), missed
    assert len(changed) <= 0.01 * len(INNOCENTS), changed


def test_what_stands_around_a_secret_stays():
    """Names, users, hosts and the rest of the line are still there."""
    torn = []
    for template, text, secret in SECRETS:
        before, after = text.split(secret, 1)
        clean = redact(text)[0]
        if not (clean.startswith(before.rstrip("-")) and clean.endswith(after)):
            torn.append((template, clean))
    assert len(torn) <= 0.01 * len(SECRETS), torn


@pytest.mark.parametrize("text, clean, hits", [
    ("ftp://app:" + "s3cr3t9@db:54/x", "ftp://app:[masked:url-password]@db:54/x", (("url-password", 1),)),
    ("A=1\nDB_PASSWORD=swordfish\nB=2", "A=1\nDB_PASSWORD=[masked:password]\nB=2", (("password", 1),)),
    ('{"a":"A=1\\nDB_PASSWORD=swordfish\\nB=2"}', '{"a":"A=1\\nDB_PASSWORD=[masked:password]\\nB=2"}',
     (("password", 1),)),
    ("PASSWORD=swordfish and PASSWORD=butterfly", "PASSWORD=[masked:password] and PASSWORD=[masked:password]",
     (("password", 2),)),
    ("SENTRY_DSN=https://" + "0a1b2c3d4e5f6978" * 2 + "@o1.ingest.sentry.io/4",
     "SENTRY_DSN=https://[masked:sentry-key]@o1.ingest.sentry.io/4", (("sentry-key", 1),)),
    ("https://ghp_" + "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8" + "@github.com/o/r", "https://[masked:github-token]@github.com/o/r",
     (("github-token", 1),)),
    ("docker login -u bob -p swordfish reg.io", "docker login -u bob -p [masked:password] reg.io", (("password", 1),)),
    ("create user bob identified by 'hunter2x';", "create user bob identified by '[masked:password]';", (("password", 1),)),
    ("nothing here", "nothing here", ()),
    ("", "", ()),
])
def test_what_was_masked_is_said(text, clean, hits):
    """The mask names the kind, and the kinds are counted."""
    assert redact(text) == (clean, hits)


def test_each_known_issuer_is_named():
    """A token that tells its issuer by how it begins is masked by that issuer's name, wherever it stands."""
    for kind, alphabet, least, beginnings in secret_shapes.PREFIXED:
        for beginning in beginnings.split():
            tail = secret_corpus.draw_from(alphabet.replace("+/=", ""), least + 2, beginning)
            if kind == "jwt":
                tail = tail[:12] + "." + tail[12:].replace(".", "x") + "9"
            for text in ("say %s now", "x=%s", '"%s"', "a\\n%s\\n", "(%s)", "\n%s", "%s"):
                clean, hits = redact(text % (beginning + tail))
                assert tail not in clean and hits, (kind, beginning, tail, clean)
            assert [kind] == [k for k, _ in redact("say %s now" % (beginning + tail))[1]]


def test_masking_twice_is_masking_once():
    """What is masked stays as it is."""
    for _, text, _ in SECRETS:
        clean = redact(text)[0]
        assert redact(clean) == (clean, ())


# Texts near secrets

FRAGMENTS = st.sampled_from([
    "password", "PASSWORD", "=", ":", ": ", "\"", "\\\"", "'", "\\", "\\n", "\n", " ", "token", "_secret",
    "apiKey", "api_key", "hunter22x", "swordfish", "Bearer ", "Authorization: ", "Cookie: ", "sid=", "://",
    "bob:", "@", "sk-ant-", "ghp_", "AKIA", "eyJ", ".", "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8s9T0",
    "0123456789", "12345678", "[masked:", "]", "-----BEGIN RSA " + "PRIVATE KEY-----",
    "-----END RSA " + "PRIVATE KEY-----", "MIIEow" * 8, "value", ",", "{", "}", "<", ">", "</", "--",
    "--password ", "curl -u ", "machine ", " login ", " password ", "${X}", "$(id)", "\0", "\ud800", "é",
    "\u0130", "?", "&", ";", "name", "kty", "\"d\"", "hooks.slack.com/services/", "ENV ", "true", "null",
    "x" * 20, "password is ", "echo ", " | sudo -S", "|chpasswd", "auth=(", "'a', '", "')", "|\n  ", ">-\n", "[16]",
    " string =", "_pw", ".set", "(", "-pass pass:", "zip ", " -P ", "required|min:8", "default login a ", "\\" * 32,
    "\x1b[32m", "\x1b[0m", "**", " | ", "| ", "     7\t", "-12-", "38;5;208m", "\n  value: ",
    "{\"a\":\"", "psk=", "curl -b ", "DB_PASSWORD: ", "spring.password=",
])
NEAR = st.lists(FRAGMENTS, max_size=14).map("".join)


@LAX
@given(NEAR)
def test_any_text_survives(text):
    """Lone surrogates, NUL and half a secret are masked or left; masking again finds nothing."""
    clean, hits = redact(text)
    assert redact(clean) == (clean, ())
    assert bool(hits) == (clean != text)
    assert len(MASK.findall(clean)) >= sum(n for _, n in hits)


@LAX
@given(NEAR)
def test_a_trace_is_never_missed(text):
    """Looking for every shape finds no more than looking for those that left a trace."""
    assert redact(text)[0] == with_everything(text)


def test_a_trace_of_each_secret_is_seen():
    """The same for the corpora, where every kind of secret is."""
    once = [text for _, text, _ in SECRETS[:len(SECRETS) // ROUNDS]] + INNOCENTS[:len(INNOCENTS) // ROUNDS]
    for text in once:
        assert redact(text)[0] == with_everything(text)


def with_everything(text):
    rules = [*dict.fromkeys(each[0] for each in secret_shapes.TRACES + secret_shapes.OF_COMMANDS + secret_shapes.WITHIN),
             "discord-token"]
    shapes = [(beginning, kind, alphabet, least) for kind, alphabet, least, many in secret_shapes.PREFIXED
              for beginning in many.split()]
    order = {shape: number for number, shape in enumerate(module.traces(text)[0])}
    shapes.sort(key=lambda shape: order.get(shape, len(shapes)))
    for _ in range(module.ROUNDS):
        before = text
        for shape in shapes:
            text = module._mask_tokens(text, shape, {})
        text = masking.mask(text, rules, True, (), {})
        if text == before:
            break
    return text


# JSON

LEAF = st.one_of(
    NEAR, st.integers(), st.booleans(), st.none(), st.floats(allow_nan=False, allow_infinity=False),
    st.integers(10**5, 10**12), st.text(max_size=8))
KEY = st.one_of(NEAR, st.sampled_from(["password", "token", "apiKey", "client_secret", "value"]))
DOCUMENT = st.recursive(
    LEAF, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEY, inner, max_size=4), max_leaves=12)


def shape(value):
    """A document with only the kinds of its strings, so that all else can be compared."""
    if isinstance(value, dict):
        return [shape(v) for v in value.values()]
    if isinstance(value, list):
        return [shape(v) for v in value]
    return "text" if isinstance(value, str) else value


def pairs(found):
    """An object as a list, since two keys may be masked alike."""
    return [v for _, v in found]


@LAX
@given(DOCUMENT, st.booleans(), st.sampled_from([None, 1]))
def test_json_stays_json(document, ascii_only, indent):
    """Masking the text of a whole document leaves it valid, with the same numbers and as many strings."""
    text = json.dumps(document, ensure_ascii=ascii_only, indent=indent)
    clean = redact(text)[0]
    before, after = [shape(json.loads(each, object_pairs_hook=pairs)) for each in (text, clean)]
    assert before == after


@LAX
@given(st.lists(st.sampled_from(MASKED), min_size=1, max_size=4), st.integers(1, 3), st.booleans(),
       st.sampled_from([None, 2]), NEAR)
def test_no_planted_secret_stays_in_a_document(planted, depth, ascii_only, indent, noise):
    """Secrets planted in strings, lists and JSON inside of JSON are gone when the whole text is masked."""
    document = {"session_id": "x", "n": 5, "noise": noise, "prompt": [text for _, text, _ in planted]}
    for _ in range(depth):
        document = {"inner": json.dumps(document, ensure_ascii=ascii_only, indent=indent), "n": 1}
    clean = redact(json.dumps(document))[0]
    shown = "".join(strings(json.loads(clean)))
    for _ in range(depth + 1):
        for template, _, secret in planted:
            if not TORN_BY_ESCAPES.search(template):
                assert secret not in shown, template
        shown = shown.replace("\\n", "\n").replace('\\"', '"').replace("\\\\", "\\")  # one level less


# These hold escapes or quotes of their own, so that another level of JSON makes other text of them.
TORN_BY_ESCAPES = re.compile(r'\\')


def strings(value):
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        return [text for item in value for text in strings(item)]
    return [value] if isinstance(value, str) else []


WHOLE = [(text, secret) for template, text, secret in MASKED if not re.search(r'[\\\\"]', template) and "\n" not in secret]
AROUND = st.sampled_from(["", "\n", "\t", "\r\n", " ", "\b", "\f", "     1\t", "\u2192", "\u00e9", "x ", "n\n", "\\\n"])
BEHIND = st.sampled_from(["", "\n", "\t", "\r\n", " ", "\n\u2192", "\b"])
HOLDS_SECRETS = st.recursive(
    st.tuples(AROUND, st.integers(0, len(WHOLE) - 1), BEHIND), lambda inner: st.lists(inner, min_size=1, max_size=3) | (
        st.dictionaries(st.sampled_from(["content", "text", "stdout"]), inner, min_size=1)), max_leaves=4)


@LAX
@given(HOLDS_SECRETS, st.integers(1, 3), st.booleans(), st.sampled_from([None, 2]))
def test_a_document_full_of_secrets_stays_one_and_holds_none(document, depth, ascii_only, indent):
    """Whatever line end, escape or letter a secret stands behind, at whatever depth, its document is valid without it, and so
    are the documents within."""
    planted = []

    def texts(value):
        if isinstance(value, tuple):
            text, secret = WHOLE[value[1]]
            planted.append(secret)
            return value[0] + text + value[2]
        return [texts(each) for each in value] if isinstance(value, list) else {key: texts(each) for key, each in value.items()}
    document = texts(document)
    for _ in range(depth - 1):
        document = {"inner": json.dumps(document, ensure_ascii=ascii_only, indent=indent)}
    clean = json.loads(redact(json.dumps(document, ensure_ascii=ascii_only, indent=indent))[0])
    for _ in range(depth - 1):
        clean = json.loads(clean["inner"])
    shown = "\0".join(strings(clean))
    assert not [secret for secret in planted if secret in shown]


@pytest.mark.parametrize("depth", [5, 6, 8])
def test_a_document_in_many_documents(depth):
    """However deep in documents a secret stands, in a text of its own too, it is masked once, and each of them stays one."""
    for text, secret in WHOLE[:len(WHOLE) // ROUNDS]:
        document = "before\n" + text + "\nafter"
        for _ in range(depth):
            document = json.dumps({"c": document, "n": 1})
        for around in ("%s", "It said %s\nand went on."):
            clean, hits = redact(around % document)
            assert redact(clean) == (clean, ()) and sum(n for _, n in hits) == sum(n for _, n in redact(text)[1])
            inner, _ = json.JSONDecoder().raw_decode(clean, clean.index("{"))
            for _ in range(depth - 1):
                inner = json.loads(inner["c"])
            assert inner == {"c": "before\n" + redact(text)[0] + "\nafter", "n": 1} and secret not in clean


@pytest.mark.parametrize("before", ["\n", "\t", "\r", "\f", "     7\t", "x\n\n"])
def test_a_token_at_the_start_of_a_line(before):
    """The letter of the escape before a token is no part of it, however long its first part may be."""
    for _, text, secret in SECRETS:
        if len(secret) < 300 and text == secret and "\n" not in text:
            for levels in (1, 2, 3):
                document = before + text
                for _ in range(levels):
                    document = json.dumps({"c": document})
                clean, hits = redact(document)
                for _ in range(levels):
                    clean = json.loads(clean)["c"]
                assert hits and clean.startswith(before + "[masked:"), (secret, clean)
    drawn = secret_corpus.draw_from(secret_shapes.ALNUM, 200, before)
    for token in ("MT" + drawn[:24] + "." + drawn[30:36] + "." + drawn[40:78], drawn[:76] + "AZDO" + drawn[80:84]):
        assert json.loads(redact(json.dumps([before + token + "\nand"]))[0])[0].endswith("]\nand")


def test_masking_that_would_break_a_document_is_done_string_by_string(monkeypatch):
    """Where a rule takes a document apart, each string of it is masked by itself, with its name where that does."""
    careless = (("careless", r"\\\\n?[a-z]{3}-[0-9]{6}", masking._any),)
    monkeypatch.setitem(masking._RULES, "terraform-token", careless)
    document = {"a": ["x\nabc-123456", 5, None], "password": "swordfish", ".atlasv1.": "abc"}
    text = json.dumps(document)
    clean, hits = redact(text)
    assert json.loads(clean) == {**document, "password": "[masked:password]"} and hits == (("password", 1),)
    assert redact(clean) == (clean, ())


def test_a_rule_that_takes_a_document_apart_is_left_out_and_no_other(monkeypatch):
    """What is a secret by what stands beside it, in another string, is masked though one rule took the document apart."""
    careless = (("careless", r"\\\\n?[a-z]{3}-[0-9]{6}", masking._any),)
    monkeypatch.setitem(masking._RULES, "terraform-token", careless)
    document = {"a": "x\nabc-123456", "b": {"name": "DB_PASSWORD", "value": "Zx8kQ2mPw0Rt"}, ".atlasv1.": "abc"}
    clean, hits = redact(json.dumps(document))
    assert json.loads(clean)["b"]["value"] == "[masked:password]" and hits == (("password", 1),)


COMMANDS = st.sampled_from([
    "sshpass -p ", "docker login -u a -p ", "redis-cli -a ", "storePassword ", "gh secret set X --body ", "gh secret set X -b",
    "mongosh -u a -p ", "sqlcmd -P ", "ldapsearch -w ", "keytool -storepass ", "create user a identified by ",
    "alter user a with password ", "curl -u me:", "mysql -u a -p", "password=", "--token ", "token: ", "Cookie: a="])
AROUND_COMMANDS = st.sampled_from([
    lambda t: t, lambda t: [t], lambda t: {"a": {"b": {"c": t}}}, lambda t: [[[[t]]], 5, True], lambda t: [t, 12345, None, "x"],
    lambda t: {"a": t, "n": 1234567}, lambda t: [{"type": "text", "text": t}]])
IN_FRONT = st.sampled_from(["", "\ufeff", " " * 80, "data: ", '{"n": 1}\n'])


def neighbours():
    """{a name: (a value that holds a secret which stands in another string than what tells it, what must go)}."""
    every, body = drawn_key()
    password, aws = [secret_corpus.draw_from(secret_shapes.ALNUM, size, "beside") for size in (14, 40)]
    return {"a pair": ({"name": "DB_PASSWORD", "value": password}, [password]), "an array": (every, body),
            "a key": (["AKIA" + "QZ7XK2MPLW3RT5VB", aws], [aws])}


@LAX
@given(st.lists(st.tuples(COMMANDS, AROUND_COMMANDS), min_size=1, max_size=3), st.sampled_from(["a key", "a pair", "an array"]),
       st.lists(st.sampled_from(WHOLE), max_size=2), st.booleans(), st.sampled_from([None, 1]),
       st.sampled_from([(",", ":"), (", ", ": ")]), IN_FRONT)
def test_a_string_that_ends_in_a_command_takes_no_mask_away(commands, beside, planted, first, indent, separators, front):
    """Where strings end as commands do before a password, their document stays one, whatever stands in front of it, and holds
    no secret, not even one that is told by the string beside it."""
    value, secrets = neighbours()[beside]
    parts = [value, [text for text, _ in planted], [around(command) for command, around in commands]]
    text = json.dumps({"parts": parts if first else parts[::-1]}, indent=indent, separators=separators)
    clean = redact(front + text)[0]
    assert clean.startswith(front)
    shown = "\0".join(strings(json.loads(clean[len(front):])))
    assert not [secret for secret in [*secrets, *[secret for _, secret in planted]] if secret in shown]


@pytest.mark.parametrize("text", [
    "#define GL_STENCIL_BACK_PASS_DEPTH_PASS 0x8803", "#define CKO_SECRET_KEY    0x00000004UL\n",
    "#define CKO_SECRET_KEY (0x12345678)",
    "#define DB_PASSWORD get_password1(FOO, 12)", "#define API_TOKEN compute9x ( a )",
])
def test_a_number_or_a_call_behind_define_is_no_secret(text):
    """Headers in C define constants whose names end as those of secrets do; a word or a string there is one."""
    assert redact(text) == (text, ())
    assert redact(json.dumps({"c": text})) == (json.dumps({"c": text}), ())
    for value in ("0x8803abzz9", "hunter22x", '"hunter22x"'):
        assert redact("#define DB_PASSWORD " + value)[0] == "#define DB_PASSWORD " + value.replace(
            value.strip('"'), "[masked:password]")


# Private keys

def drawn_key(kind="RSA "):
    """(all lines, those of the body) of a private key."""
    body = [secret_corpus.draw_from(secret_shapes.ALNUM + "+/", 64, "%s%s" % (kind, n)) for n in range(9)]
    body.append(secret_corpus.draw_from(secret_shapes.ALNUM, 27, kind) + "=")
    return ["-----BEGIN %sPRIVATE KEY-----" % kind, *body, "-----END %sPRIVATE KEY-----" % kind], body


LAYOUTS = {
    "as it is": ("{}\n", ""), "Read": ("{:6d}\t{}\n", "n"), "Read with an arrow": ("{:6d}\u2192{}\n", "n"),
    "grep -n": ("{}:{}\n", "n"), "diff +": ("+{}\n", ""), "diff -": ("-{}\n", ""), "a quotation": ("> {}\n", ""),
    "a comment": ("# {}\n", ""), "slashes": ("// {}\n", ""), "stars": (" * {}\n", ""), "YAML": ("    {}\n", ""),
    "a program": ('"{}\\n" +\n', ""), "Python": ("    '{}\\n'\n", ""), "a list": ('  "{}",\n', ""),
    "a shell": ("{}\\\n", ""), "sed -n l": ("{}$\n", ""), "a log": ("2026-11-30T05:00:00Z INFO {}\n", ""),
    "a container's log": ("app_1  | {}\n", ""), "Windows": ("{}\r\n", ""), "one line": ("{} ", ""), "escaped": ("{}\\n", ""),
    "escaped twice": ("{}\\\\n", ""), "HTML": ("{}<br>", ""), "a table": ("| {} ", ""), "colours": ("\x1b[32m{}\x1b[0m\n", ""),
    "git blame": ("a1b2c3d4 (Me 2026-11-30 {:2d}) {}\n", "n"),
}


@pytest.mark.parametrize("kind", ["RSA ", "OPENSSH ", "", "EC ", "ENCRYPTED "])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_private_key_in_whatever_its_lines_carry(layout, kind):
    """No line of a private key is kept, whatever a program put before and after each; nor is one whose end, or whose
    beginning, is cut off. What stands around it stays, and JSON stays JSON."""
    every, body = drawn_key(kind)
    form, numbered = LAYOUTS[layout]
    for lines in (every, every[:5], every[5:]):
        text = "".join(form.format(n + 1, line) if numbered else form.format(line) for n, line in enumerate(lines))
        text = "before it\n" + text + "after it"
        for document in (text, json.dumps({"c": text}), json.dumps({"c": json.dumps([text], ensure_ascii=False)})):
            clean, hits = redact(document)
            assert hits == (("private-key", 1),), clean
            assert not [line for line in body if line in clean or line.replace("/", "\\/") in clean], clean
            assert "before it" in clean and "after it" in clean
            assert document == text or json.loads(clean)["c"]
            assert redact(clean) == (clean, ())


def test_a_private_key_in_a_list_of_lines():
    """A document that holds a key line by line keeps its shape, and what follows the key; so does one in which a key without
    an end, and the end of another, stand in two places."""
    every, body = drawn_key()
    for document in ({"lines": every, "n": 5, "agentId": "a1"}, [every, {"id": "toolu_1"}],
                     {"prompt": "\n".join(every[:4]), "agentId": "a1", "said": "\n".join(every[4:])}):
        for indent in (None, 2):
            clean = redact(json.dumps(document, indent=indent))[0]
            assert shape(json.loads(clean)) == shape(document)
            assert not [line for line in body if line in clean]
            assert "toolu_1" in clean or json.loads(clean)["agentId"] == "a1"


def test_code_between_the_words_of_a_key_stays():
    """A program that looks for the two ends of a key holds none."""
    text = ('if pem.startswith("-----BEGIN PRIVATE KEY-----"):\n'
            '    key = cryptographyPrivateKeyLoader.loadPrivateKeyFromPemFile(\n'
            '        "/usr/share/applications/certificates/directory/name", pem)\n'
            'assert "-----END PRIVATE KEY-----" in pem\n')
    assert redact(text) == (text, ())
    assert redact(json.dumps({"c": text})) == (json.dumps({"c": text}), ())


REPORT = """Done. `is_key()` now accepts a file only where it begins with `-----BEGIN PRIVATE KEY-----`.
Fixed in commit 3f9a1c07be52d84416a0c9e7d2b85f6341ae9c70; three callers adapted, two tests added.
It must also end with `-----END PRIVATE KEY-----`, else the error says so."""


@pytest.mark.parametrize("text", [REPORT, REPORT.replace("`", "").replace(";", ",").replace("_", " ").replace("'", " ")])
def test_a_report_that_names_the_two_ends_of_a_key_stays(text):
    """The id of a commit between the two ends of a key is no key, whatever words stand around it."""
    assert redact(text) == (text, ())
    assert redact(json.dumps({"c": text})) == (json.dumps({"c": text}), ())


def test_between_far_ends_only_the_lines_of_a_key_go():
    """Where a program or a report stands between the two ends of a key, what looks like lines of one goes, and nothing else."""
    every, body = drawn_key()
    prose = "".join("export function step%d(a, b) { return a + b * %d; }\n" % (n, n) for n in range(40))
    text = "const BEGIN = '%s';\n%s%s\n%sconst END = '%s';\n" % (every[0], prose, "\n".join(body), prose, every[-1])
    for document in (text, json.dumps({"c": text})):
        clean, hits = redact(document)
        assert hits == (("private-key", 1),) and not [line for line in body if line in clean]
        shown = clean if document == text else json.loads(clean)["c"]
        assert shown.count(prose) == 2 and every[0] in shown and shown.endswith("const END = '%s';\n" % every[-1])
        assert redact(clean) == (clean, ())


def test_no_end_of_a_key_is_looked_before_twice(monkeypatch):
    """What stands before the end of a key is looked through once, however many ends follow."""
    looked, compiled = [], private_keys.compiled

    class Counting:
        def __init__(self, pattern):
            self.ready = compiled(pattern)

        def __getattr__(self, name):
            return getattr(self.ready, name)

        def finditer(self, text, start=0, end=None):
            looked.append((len(text) if end is None else end) - start)
            return self.ready.finditer(text, start, len(text) if end is None else end)
    monkeypatch.setattr(private_keys, "compiled", Counting)
    text = ("-----END " + "PRIVATE KEY-----\n") * 500
    assert redact(text) == (text, ())
    assert 0 < sum(looked) <= 3 * len(text)


# The user's own patterns

def test_own_patterns_are_masked_too():
    """`extra` brings the user's kinds; a name is made safe for the mask."""
    own = [("Acme Key_1", r"acme-\d{4}"), ("host", r"[a-z]+\.corp\b")]
    assert redact("at db.corp: acme-1234, acme-12", own) == (
        "at [masked:host]: [masked:acmekey-1], acme-12", (("acmekey-1", 1), ("host", 1)))


@pytest.mark.parametrize("bad", ["(", "[a", "*", "(?P<x>", None, 5, b"x", ["x"]])
def test_a_bad_pattern_is_skipped_and_said(bad):
    """What is no pattern stops nothing."""
    clean, hits = redact("acme-1 DB_PASSWORD=swordfish", [("x", bad), ("acme", r"acme-\d"), ("y", bad)])
    assert clean == "[masked:acme] DB_PASSWORD=[masked:password]"
    assert hits == (("acme", 1), ("bad-pattern", 2), ("password", 1))


@pytest.mark.parametrize("pattern", [
    r".+", r".*", r"\d+", r"masked", r"[^x]+", r"\w", r"x*", r'"', r"\\", r"(?s).+", r"n", r"u00", r"^",
    r"\s+", r'[^"]+'])
def test_own_patterns_take_no_json_apart(pattern):
    """However greedy a pattern is, a JSON document stays one, and masking again changes nothing."""
    text = json.dumps({"a": "line\none \u00e9\\ \"q\" 12", "n": 12, "l": [1, "x12", None],
                       "p": "DB_PASSWORD=swordfish"})
    clean, _ = redact(text, [("own", pattern)])
    json.loads(clean)
    assert "swordfish" not in clean
    assert redact(clean, [("own", pattern)])[0] == clean


@pytest.fixture
def spent(monkeypatch):
    """Little time for a pattern; what was lost is forgotten afterwards."""
    monkeypatch.setattr(deadline, "MOST", 0.1)
    monkeypatch.setattr(deadline, "_lost", {})
    return deadline._lost


ENDLESS = [("own", r"(a+)+$")]
LURE = "a" * 40 + "!"


def test_an_own_pattern_that_finds_no_end_masks_the_whole_text(spent):
    """What could not be searched in time is not kept, and is said as masks are; the timer's owner before has it back."""
    before = signal.getsignal(signal.SIGVTALRM)
    assert redact("so " + LURE, ENDLESS) == ("[masked:own]", (("own", 1),))
    assert redact("so aaa", ENDLESS) == ("so [masked:own]", (("own", 1),))
    assert signal.getsignal(signal.SIGVTALRM) == before and signal.getitimer(signal.ITIMER_VIRTUAL) == (0, 0)


def test_of_a_document_only_the_strings_that_take_too_long_go(spent):
    """The names of fields and all other values are still there."""
    document = {"hook_event_name": "Stop", "n": 5, "last": LURE, "more": ["done", LURE + "\n", "baa"]}
    clean, hits = redact(json.dumps(document), ENDLESS)
    assert json.loads(clean) == {**document, "last": "[masked:own]", "more": ["done", "[masked:own]", "b[masked:own]"]}
    assert hits == (("own", 3),)


def test_many_texts_that_take_too_long_end(spent):
    """What a process gives to a pattern has an end, so that a thousand such texts take little more than some."""
    spent["another"] = deadline.ALL
    assert all(redact(LURE + str(n), ENDLESS)[0] == "[masked:own]" for n in range(1000))  # each alone would take hours
    assert sum(spent.values()) < deadline.ALL + deadline.MORE


def test_a_pattern_that_used_its_time_up_is_not_looked_for(spent, monkeypatch):
    """Its texts are masked as they are, those of a document string by string, up to what is short; that is looked at until
    more time is used up. Another pattern is looked for as before."""
    spent[ENDLESS[0][1]] = deadline.ALL
    looked, look, long = [], deadline._looked, "word " * 20
    monkeypatch.setattr(deadline, "_looked", lambda ready, text, most: looked.append(text) or look(ready, text, most))
    assert redact(long, ENDLESS) == ("[masked:own]", (("own", 1),))
    assert json.loads(redact(json.dumps({"name": long, "n": [long, 5]}), ENDLESS)[0]) == {"name": "[masked:own]",
                                                                                          "n": ["[masked:own]", 5]}
    assert long not in looked and "name" in looked
    spent[ENDLESS[0][1]] += deadline.MORE
    looked.clear()
    assert redact("word", ENDLESS) == ("[masked:own]", (("own", 1),)) and looked == []
    assert redact("at acme-12", [("own", r"acme-\d+")])[0] == "at [masked:own]"


def test_time_that_was_not_in_vain_counts_as_well(spent, monkeypatch):
    """A pattern that is slow in each text, though it ends, uses its time up; one that takes what its texts may does not."""
    monkeypatch.setattr(deadline, "_looked", lambda ready, text, most: ([], 0.5 if ready.pattern == "slow" else 0.01))
    both = [("own", "slow"), ("other", "fast")]
    texts = ["a long text that is not looked through any more, number %d" % n for n in range(10)]
    enough = int(deadline.ALL / 0.5)
    said = [redact(text, both)[0] for text in texts]
    assert said == texts[:enough] + ["[masked:own]"] * (10 - enough)
    assert list(spent) == ["slow"]


@pytest.mark.parametrize("threads", [False, True])
def test_a_common_pattern_on_a_long_word_is_ended(spent, threads):
    """Python hears of no signal while it goes through a long word again and again; the deadline holds all the same."""
    own, long = [("own", r"[\w.]+@acme\.com")], "0a1b2c3d4e" * 80000
    found, document = [], {"hook_event_name": "Stop", "prompt": "decode " + long, "to": "a me@acme.com"}

    def work():
        found.extend([redact(long, own)[0], json.loads(redact(json.dumps(document), own)[0])])
    if threads:
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    else:
        work()
    assert found == ["[masked:own]", {**document, "prompt": "[masked:own]", "to": "a [masked:own]"}]


@pytest.mark.parametrize("before", ["", "signal.signal(signal.SIGCHLD, signal.SIG_IGN)",
                                    "signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGVTALRM,))"])
def test_a_long_word_is_ended_however_a_process_was_started(before):
    """A process without threads, as a hook is, looks through long texts by a copy of itself, which is ended; nothing else is
    written by it, and what is found in time is the same."""
    code = ("import signal, sys; sys.path.insert(0, %r); %s\n"
            "from orchestrator.model import deadline\nfrom orchestrator.model.redact import redact\n"
            "deadline.MOST = 0.1; print('once')\n"
            "own = [('own', r'[\\w.]+@acme\\.com')]; text = 'to me@acme.com, ' * 2000\n"
            "assert redact(text, own) == ('to [masked:own], ' * 2000, (('own', 2000),)) and not deadline._lost\n"
            "assert redact('0a1b2c3d4e' * 80000, own)[0] == '[masked:own]' and deadline._lost")
    done = subprocess.run([sys.executable, "-I", "-S", "-c", code % (SCRIPTS, before or "pass")], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("once\n", "")


def test_a_long_text_is_masked_as_a_short_one_is():
    """Where a text is looked through by a process of its own, what it finds is the same."""
    own, text = [("own", r"(?m)^acme-\d+$|\bcorp\w+")], "acme-1\nfine corp7 acme-2\n"
    assert len(text) * 2000 > deadline.LONG
    assert redact(text * 2000, own) == (redact(text, own)[0] * 2000, (("own", 4000),))


def test_a_thread_has_a_deadline_too(spent):
    """Where no signal arrives, another process looks, which is ended in time."""
    found = []
    thread = threading.Thread(target=lambda: found.extend(redact(text, ENDLESS)[0] for text in (LURE, "so aaa")))
    thread.start()
    thread.join()
    assert found == ["[masked:own]", "so [masked:own]"]


# Cost

EVENT = json.dumps({
    "session_id": "f56fb4b9-31da-49a4-b418-cfaa6b0919e2", "hook_event_name": "PostToolUse",
    "transcript_path": "/home/u/.claude/projects/-home-u-proj/f56fb4b9-31da-49a4-b418-cfaa6b0919e2.jsonl",
    "tool_input": {"prompt": "orchestrator task t1"}, "tool_use_id": "toolu_01VVAgent",
    "tool_response": {
        "agentId": "a431a56b9d51fe15d", "totalTokens": 9004, "usage": {"input_tokens": 20},
        "content": [{"text": "Parse each token; see https://docs.python.org/3/. The password stays. " * 70}],
    },
})


def test_an_innocent_event_brings_in_no_patterns():
    """Redacting a common event of 5 KB imports neither re nor json."""
    code = ("import sys; sys.path.insert(0, %r)\n"
            "from orchestrator.model.redact import redact\n"
            "text = sys.stdin.read(); assert redact(text) == (text, ())\n"
            "print(*sorted({'re', 'json', 'typing', 'orchestrator.model.masking'} & set(sys.modules)))")
    command = [sys.executable, "-I", "-S", "-c", code % SCRIPTS]
    done = subprocess.run(command, input=EVENT, capture_output=True, text=True, check=True)
    assert len(EVENT) > 5000 and done.stdout.split() == []


@pytest.mark.parametrize("name", secret_corpus.HOSTILE)
def test_hostile_texts_end(name):
    """A quarter of a megabyte made to send patterns back and forth is redacted before the time is up."""
    text = secret_corpus.hostile(name, 250000)
    clean = redact(text)[0]
    assert redact(clean)[0] == clean
