"""Corpora for redaction, drawn from templates: tests/unit/corpus/secrets.txt and innocents.txt.

A template holds `{b62:36}` where characters are to be drawn, so that no file here holds a secret or
what a scanner takes for one. Draws are seeded: the same corpus each time.
"""

import pathlib
import random
import re
import string

HERE = pathlib.Path(__file__).parent / "corpus"
ALNUM = string.ascii_letters + string.digits
CHARACTERS = {
    "hex": "0123456789abcdef", "HEX": "0123456789ABCDEF", "num": string.digits, "b62": ALNUM,
    "w": ALNUM + "_-", "b64": ALNUM + "+/", "b32": string.ascii_uppercase + "234567",
    "up": string.ascii_uppercase + string.digits,
    "low": string.ascii_lowercase + string.digits,
}
PASSWORDS = ("swordfish butterfly sunshine dragonfly trustnoone letmein iloveyou starwars whatever chocolate "
             "correcthorse football mustang superman babygirl jennifer liverpool evergreen").split()
HOLE = re.compile(r"\{([A-Za-z0-9]*)(?::(\d+))?\}")


def fill(template, chance):
    """A template with its holes filled and its line ends made."""
    def draw(match):
        kind, size = match[1], int(match[2] or 0)
        if not kind:
            return ""
        if kind == "uuid":
            return re.sub(r"(.{8})(.{4})(.{4})(.{4})(.{12})", r"\1-\2-\3-\4-\5", draw_many(chance, "hex", 32))
        if kind == "word":
            return chance.choice(PASSWORDS)
        if kind == "pw":
            drawn = draw_many(chance, "b62", 9) + chance.choice("!*_+~^") + chance.choice(string.digits)
            return chance.choice(string.ascii_letters) + "".join(chance.sample(drawn, 11))
        return draw_many(chance, kind, size) if kind in CHARACTERS else match[0]
    return HOLE.sub(draw, template).replace("¶", "\n")


def draw_many(chance, kind, size):
    """Characters as a machine draws them; a long token has a digit where its kind has digits (one in 300 would not)."""
    while True:
        drawn = "".join(chance.choice(CHARACTERS[kind]) for _ in range(size))
        if size < 16 or not any(map(str.isdigit, CHARACTERS[kind])) or any(map(str.isdigit, drawn)):
            return drawn


def lines(name):
    """The templates of a file."""
    text = (HERE / name).read_text(encoding="utf-8")
    return [line for line in text.split("\n") if line and not line.startswith("# ")]


def secrets(seed=0):
    """[(template, text, what must vanish from it)], one for each template."""
    drawn = []
    for number, template in enumerate(lines("secrets.txt")):
        text = fill(template, random.Random("%s %s" % (seed, number)))
        secret = text[text.index("⟦") + 1:text.index("⟧")]
        drawn.append((template, text.replace("⟦", "").replace("⟧", ""), secret))
    return drawn


def innocents(seed=0):
    """[text], one for each template."""
    return [fill(t, random.Random("%s %s" % (seed, n))) for n, t in enumerate(lines("innocents.txt"))]


def draw_from(alphabet, size, seed):
    """Characters of an alphabet as a machine draws them, each kind that it has among them."""
    chance = random.Random(seed)
    kinds = [kind for kind in (str.isdigit, str.islower, str.isupper) if any(map(kind, alphabet))]
    while True:
        drawn = "".join(chance.choice(alphabet) for _ in range(size))
        if drawn[-1].isalnum() and all(any(map(kind, drawn)) for kind in kinds):
            return drawn


# Pieces which, repeated, send a careless pattern back and forth.
HOSTILE = {
    "beginnings": "sk-ant-", "beginnings apart": "-eyJ", "dotted": "eyJ.", "names": "password",
    "assigned": "token=", "quoted": 'token="', "escaped": "token=\\\"", "names and blanks": "password ",
    "type": "password: a", "pairs": "tokenvalue", "urls": "://a:b", "url users": "://", "at": "://a:b@",
    "begins": "-----BEGIN RSA " + "PRIVATE KEY-----\n", "base64": "A" * 64 + "\n",
    "begin and body": "-----BEGIN RSA " + "PRIVATE KEY-----" + "A" * 32, "headers": "authorization: ",
    "bearers": "bearer ", "cookies": "cookie: a=", "cookie pairs": "cookie:a=bbbbbbbbb;",
    "curls": "curl -u ", "curl": "curl x", "mysqls": "mysql -u", "machines": "machine a login b ",
    "backslashes": "\\", "secret\\": "secret\\\\", "digits": "1", "telegram": "12345678:AA",
    "atlas": "a.atlasv1.", "azure": "abc8Q~", "webhooks": "/webhooks/123456789012345/",
    "jwk": "\"kty\"\"d\":\"", "quotes": "\"'`", "connection": "user=a;password=b", "suffixes": "token_",
    "keys": "api_key", "lines": "password:\n", "xml": "<password>", "dots": "pass.",
    "secrets set": "gh secret set x ", "logins": "docker login -u ", "users": "create user ",
    "statements": "alter x password 'a ", "identified": "create a identified by x ",
    "prompts": "secret access key [", "bots": "a" * 24 + "." + "b" * 6 + ".",
    "ends": "-----END RSA " + "PRIVATE KEY-----\n", "lines and ends": "Ab1" * 20 + "\n-----END " + "PRIVATE KEY-----\n",
    "begins, lines, ends": "-----BEGIN " + "PRIVATE KEY-----\n# " + "Ab1" * 20 + "!\n-----END " + "PRIVATE KEY-----\n",
    "begins and quotes": "-----BEGIN " + "PRIVATE KEY-----\"" + "Ab1/" * 20 + "\"", "clients": "redis-cli -h x ",
    "databases": "mongosh -u x ", "directories": "ldapsearch -D ", "servers": "sqlcmd -S x ", "stores": " -storepass \"",
    "numbered": "machine a\n     1\tlogin b\n     2\t", "licenses": "0a1b2c3d4e" * 3 + "NRAL_", "regions": "0a" * 16 + "-us-",
    "ids": "00D" + "a1" * 6 + "!", "zeros": "A", "zeros%": "A" * 24 + "%3D", "devices": "AAAA1234567:APA91b", "tables": ":5432:",
    "columns": "a.b:5432:c:d:", "composers": "\"github-oauth\": {", "options of a login": "wandb login -x ",
    "line ends of a key": "\n", "line ends of a key in JSON": "\\n",
    "open strings": "\"" + "\\" * 33, "strings": "\"" + "\\" * 32 + "\"", "escaped quotes": "\\" * 33 + "\"",
    "pipes": "echo a:bcd | ", "pipes to sudo": "echo abcd | sudo -", "archives": "zip -r x ", "archives of 7z": "7z a x ",
    "pairs of a login": "auth=(\"a\", ", "blocks": "password: |\n  ", "sentences": "password is ", "continued": "curl \\\n ",
    "default": "\ndefault login b ", "accounts": "machine a account b login c ", "secure strings": "ConvertTo-SecureString \"",
    "curls with cookies": "curl -b ", "setters": ".setPassword(\"", "keys of ssh": "ssh-keygen -t ", "shared": "psk=\"",
    "cells": "| password | ", "bold": "**password:** ", "greps": "a-1-password=", "colours": "\x1b[32mtoken=",
    "numbered pairs": "token\n 1\t", "patterns": "_pat = ",
    "secrets of a shell": "--from-literal=password=", "stores' passwords": "storePassword '",
}


def hostile(name, size):
    """A text of about a size that repeats such a piece, behind a trace of every shape."""
    traces = "kty auths sig= q~ azdo private-lines: akia, identified by ' -p private key "
    if name.startswith("line ends"):
        traces += "-----BEGIN " + "PRIVATE KEY-----\n" + "A1b2C3d4E5f6G7h8"
    return traces + HOSTILE[name] * (size // len(HOSTILE[name]))
