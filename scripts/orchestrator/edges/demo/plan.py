"""The plan of the demo: seven tasks over a few files, three steps deep, for seven read-only agents."""

import re

from orchestrator.edges.demo.sample import Chosen

GOAL = "Say what this project does and what its tests leave out"
FAILS = "tests"  # the task whose first attempt fails
NAME = re.compile(
    r"^\s*(?:(?:export|default|pub|public|private|static|abstract|async)\s+)*"
    r"(?:def|class|function|func|fn|type|interface|struct|module)\s+([A-Za-z]\w{2,})",
    re.MULTILINE,
)


def make(chosen: Chosen) -> dict:
    """The plan as JSON, which the planner submits."""
    documents, code, tests = chosen.documents, chosen.code, chosen.tests
    rows = [
        ("docs", "What the documents say", "scout", [], documents),
        ("code", "What the code defines", "analyst", [], code),
        ("tests", "What the tests cover", "tester", [], tests),
        ("check", "What no document names", "reviewer", ["docs", "code"], documents + code),
        ("gaps", "What no test names", "analyst", ["code", "tests"], code + tests),
        ("cases", "Which cases to add", "tester", ["tests"], code + tests),
        ("summary", "The answer for the user", "documenter", ["check", "gaps", "cases"], documents),
    ]
    tasks = [
        {
            "id": name,
            "title": title,
            "agent": agent,
            "prompt": f"{title}, in this project. Read what is quoted below; change nothing.",
            "after": after,
            "files": list(dict.fromkeys(names)),
        }
        for name, title, agent, after, names in rows
    ]
    return {"goal": GOAL, "tasks": tasks}


def result(task: str, chosen: Chosen, earlier: dict[str, str]) -> str:
    """What a task's agent answers: worked out of the files it was given and the results before it."""
    documents, code, tests = ("\n".join(chosen.texts[name] for name in names) for names in chosen[:3])
    defined = list(dict.fromkeys(NAME.findall(code)))
    if task == "docs":
        headings = re.findall(r"^#+ (.+)$", documents, re.MULTILINE)
        return f"{_sizes(chosen, chosen.documents)}. Headings: {_list(headings)}."
    if task == "code":
        return f"{_sizes(chosen, chosen.code)}. They define {_list(defined)}."
    if task == "tests":
        named = [name for name in NAME.findall(tests) if "test" in name.lower()]
        return f"{_sizes(chosen, chosen.tests)}. {_count(len(named), 'test')}: {_list(named)}."
    if task == "check":
        return _left_out(defined, documents, "no document names")
    if task == "gaps":
        return _left_out(defined, tests, "no test names")
    if task == "cases":
        bad = re.compile(r"raises|throw|error|refus", re.I)
        plain = [name for name in chosen.tests if not bad.search(chosen.texts[name])]
        return f"{_count(len(plain), 'test file')} in which nothing goes wrong: {_list(plain)}."
    return "\n".join(
        ["The answer, from the results before this one:", *(f"- {earlier[each]}" for each in earlier)]
    )


def _sizes(chosen: Chosen, names: list[str]) -> str:
    return ", ".join(f"{name} ({_count(chosen.texts[name].count(chr(10)), 'line')})" for name in names)


def _left_out(names: list[str], text: str, what: str) -> str:
    missing = [name for name in names if not re.search(r"\b%s\b" % re.escape(name), text)]
    return f"Of {_count(len(names), 'name')} in the code {what} {len(missing)}: {_list(missing)}."


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}{'' if number == 1 else 's'}"


def _list(words: list[str], most: int = 8) -> str:
    more = f" and {len(words) - most} more" if len(words) > most else ""
    return (", ".join(words[:most]) or "none") + more
