"""Settings: one table, one order, what is allowed, and what is read from files or written from the table."""

import json
import os
import re
import sqlite3
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import docs
from orchestrator.edges import config
from orchestrator.services import settings
from orchestrator.services.settings import BY_NAME, TABLE, parse

ROOT = Path(__file__).resolve().parents[2]
SEED_003 = {
    "DEFAULT_MODEL", "ORCHESTRATOR_DB_PATH", "ORCHESTRATOR_LOG_LEVEL", "ORCHESTRATOR_MAX_PARALLEL_AGENTS",
    "MONITOR_INTERVAL_SECONDS", "ENABLE_COST_TRACKING", "ENABLE_OBSERVABILITY",
}  # fmt: skip
# A value that is allowed and not the default, as text and as the value it means.
OTHER = {
    "driver": ("workflow", "workflow"),
    "max_parallel_agents": ("3", 3),
    "default_model": ("haiku", "haiku"),
    "budget_tokens": ("50000", 50000),
    "history": ("x.db", "x.db"),
    "monitor_interval_seconds": ("0.5", 0.5),
    "cost_tracking": ("false", False),
    "observability": ("no", False),
    "log_level": ("DEBUG", "debug"),
    "redact": ('["ACME-[0-9]+"]', ("ACME-[0-9]+",)),
}
WRONG = {
    "driver": ["both", "", "auto workflow"],
    "max_parallel_agents": ["0", "-1", "five", "5.0", "1001", "٣", "1_0", "9" * 5000],
    "default_model": ["", "two words", "a\nb", "x" * 201, "a\x1b[31m"],
    "budget_tokens": ["999", "1e5", "10000001"],
    "history": ["", "a\x00b", "a\nb"],
    "monitor_interval_seconds": ["0", "nan", "inf", "-3", "soon", "1_0", "90000"],
    "cost_tracking": ["", "maybe", "2"],
    "observability": ["tru"],
    "log_level": ["loud", "trace"],
    "redact": ["", "[", '["("]', '[""]', '["a*"]', '"abc"', '[1]', json.dumps(["a"] * 51), "[" * 100000],
}


@pytest.fixture
def meta():
    """A history's `meta` with the rows it is given."""
    made = []

    def make(**rows):
        con = sqlite3.connect(":memory:", isolation_level=None)
        con.execute("CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID")
        pairs = [(key.replace("__", "."), value) for key, value in rows.items()]
        con.executemany("INSERT INTO meta VALUES (?, ?)", pairs)
        made.append(con)
        return con

    yield make
    for con in made:
        con.close()


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch):
    """No setting of whoever runs the tests."""
    for each in TABLE:
        for name in (each.variable, settings.OPTION + each.name.upper()):
            if name:
                monkeypatch.delenv(name, raising=False)


def test_the_seeds_names_are_settings_and_the_only_ones_read_from_dotenv():
    """Of `.env` exactly seed 003's seven names are read (S3-36)."""
    assert {each.variable for each in TABLE if each.dotenv} == SEED_003


def test_every_name_is_there_once():
    """No two settings share a key, a variable or an option."""
    variables = [each.variable for each in TABLE if each.variable]
    assert len(BY_NAME) == len(TABLE) and len(set(variables)) == len(variables)


def test_options_are_those_of_the_manifest():
    """The plugin's options are settings, and each setting that says so is an option."""
    manifest = json.loads((ROOT / ".claude-plugin/plugin.json").read_text())
    assert set(manifest["userConfig"]) == {each.name for each in TABLE if each.option}


def test_defaults(meta):
    """With nothing given each setting has its default, and five agents may be at work."""
    con = meta()
    assert {each.name: settings.value(con, each.name) for each in TABLE} == {
        each.name: each.default for each in TABLE
    }
    assert settings.limit(con) == 5


SOURCES = ("environment", "file", "hook", "option")


@pytest.mark.parametrize("name", OTHER)
@pytest.mark.parametrize("first", [*SOURCES, "default"])
def test_precedence(meta, monkeypatch, name, first):
    """The environment stands above a project's files, these above the plugin's options (those a hook sees
    above those a session's start left), and the default below all.
    """
    setting, (text, value) = BY_NAME[name], OTHER[name]
    option = setting.option
    can = {"environment": bool(setting.variable), "file": True, "hook": option, "option": option}
    given_by = [each for each in SOURCES[[*SOURCES, "default"].index(first) :] if can[each]]
    winner = given_by[0] if given_by else "default"
    rows = {}
    for source in given_by:  # the first says the other value, those below it another one again
        said = text if source == winner else _as_text(setting, name)
        if source == "environment":
            monkeypatch.setenv(setting.variable, said)
        elif source == "hook":
            monkeypatch.setenv(settings.OPTION + name.upper(), said)
        else:
            rows[("setting__" if source == "file" else "option__") + name] = said
    where = "option" if winner == "hook" else winner
    assert settings.in_force(meta(**rows), name) == (value if given_by else setting.default, where)


def _as_text(setting, name):
    """The default as a text, or a third value where the default is none."""
    third = {"default_model": "opus", "budget_tokens": "2000", "history": "y.db", "redact": '["Q"]'}
    return third.get(name) or str(setting.default).lower()


@pytest.mark.parametrize("name, text", [(name, text) for name, texts in WRONG.items() for text in texts])
def test_what_is_not_allowed_counts_for_nothing(meta, monkeypatch, name, text):
    """A wrong value is refused by the table with what is allowed, and a hook goes on to the next source."""
    setting = BY_NAME[name]
    with pytest.raises(ValueError) as refused:
        parse(setting, text)
    assert len(str(refused.value)) < 120
    if setting.variable and "\0" not in text and len(text) < 1000:
        monkeypatch.setenv(setting.variable, text)
    assert settings.value(meta(**{"setting__" + name: OTHER[name][0]}), name) == OTHER[name][1]
    assert settings.in_force(meta(**{"setting__" + name: text}), name) == (setting.default, "default")


@given(name=st.sampled_from(sorted(BY_NAME)), text=st.text())
def test_parsing_any_text_ends_in_a_value_or_a_sentence(name, text):
    """Whatever stands there, the table answers with an allowed value or says what is allowed."""
    try:
        value = parse(BY_NAME[name], text)
    except ValueError as refused:
        assert str(refused).isprintable()
    else:
        assert value is not None


def test_options_are_kept_for_the_command_line_and_forgotten(meta, monkeypatch):
    """A session's start keeps the options it sees, and drops those that are gone."""
    con = meta(option__driver="workflow", setting__driver="auto", optional="x")
    monkeypatch.setenv(settings.OPTION + "MAX_PARALLEL_AGENTS", "7")
    settings.keep_options(con)
    rows = dict(con.execute("SELECT key, value FROM meta"))
    assert rows == {"option.max_parallel_agents": "7", "setting.driver": "auto", "optional": "x"}
    changes = con.total_changes
    settings.keep_options(con)
    assert con.total_changes == changes


# The commented file

def commented():
    """The lines of the file that `init` writes, each setting's line uncommented."""
    text = (ROOT / "assets/config.toml").read_text()
    return text, re.sub(r"^# (\w+ = )", r"\1", text, flags=re.MULTILINE)


def test_the_file_that_init_writes_says_nothing_as_it_is(tmp_path):
    """As written, the file changes nothing."""
    (tmp_path / "config.toml").write_text(commented()[0])
    assert config.files(str(tmp_path), str(tmp_path)) == config.Said({}, [], [], frozenset())


def test_every_line_of_that_file_may_be_uncommented(tmp_path, monkeypatch):
    """Uncommented, it names every setting with an allowed value, which is the default where there is one."""
    (tmp_path / "config.toml").write_text(commented()[1])
    said = config.files(str(tmp_path), str(tmp_path))
    assert (set(said.given), said.faults) == (set(BY_NAME), [])
    for each in TABLE:
        if each.default not in (None, ()):
            assert parse(each, said.given[each.name].text) == each.default


def test_that_file_says_what_each_setting_does():
    """Above each line stands what the setting does, in lines that fit."""
    text = commented()[0]
    assert max(map(len, text.splitlines())) <= 120
    for each in TABLE:
        assert re.search(r"^# [^\n]+\n# %s = " % each.name, text, re.MULTILINE), each.name


def test_the_page_is_fresh():
    """references/settings.md holds the table as it is in code (tests/docs.py writes it)."""
    page = (ROOT / "references/settings.md").read_text()
    assert docs.fresh(page) == page
    for each in TABLE:
        assert "| `%s` |" % each.name in page


# `.env`, as data

@pytest.mark.parametrize(
    "text, value",
    [
        ("DEFAULT_MODEL=haiku", "haiku"),
        ("  export DEFAULT_MODEL = haiku  # which one", "haiku"),
        ("DEFAULT_MODEL='haiku'", "haiku"),
        ('DEFAULT_MODEL="haiku" # which', "haiku"),
        ("DEFAULT_MODEL=a#b", "a#b"),
        ("DEFAULT_MODEL=opus\nDEFAULT_MODEL=haiku\n", "haiku"),
        ("\ufeffDEFAULT_MODEL=haiku\r\nX=1\r\n", "haiku"),
        ("DEFAULT_MODEL=$(touch${IFS}x)", "$(touch${IFS}x)"),
        ("DEFAULT_MODEL=${HOME}", "${HOME}"),
        ("DEFAULT_MODEL='haiku", "'haiku"),
        ("DEFAULT_MODEL=", None),
        ("DEFAULT_MODEL=# none", None),
        ("# DEFAULT_MODEL=haiku", None),
        ("MY_DEFAULT_MODEL=haiku", None),
        ("default_model=haiku", None),
        ('KEY="-----BEGIN\nDEFAULT_MODEL=evil\n-----END"\nDEFAULT_MODEL=haiku', "haiku"),
        ('KEY="say \\"\nDEFAULT_MODEL=evil\n"\n', None),
        ("KEY='\nDEFAULT_MODEL=evil\n'\n", None),
        ("ANTHROPIC_API_KEY=sk-x", None),
        ("ORCHESTRATOR_DRIVER=workflow", None),
    ],
)
def test_dotenv_is_read_as_data(tmp_path, text, value):
    """Assignments, quotes and comments are understood, nothing is expanded, no other name is looked at."""
    (tmp_path / ".env").write_bytes(text.encode())
    said = config.files(str(tmp_path), str(tmp_path / "none"))
    found = {name: given.text for name, given in said.given.items()}
    assert found == ({} if value is None else {"default_model": value})
    assert said.faults == []


def test_a_wrong_value_is_named_with_its_line(tmp_path):
    """The sentence names file, line, key, value and what is allowed."""
    (tmp_path / ".env").write_text("A=1\nB='\n\n'\nORCHESTRATOR_MAX_PARALLEL_AGENTS=five\n")
    said = config.files(str(tmp_path), str(tmp_path))
    assert said.faults == [
        "%s line 5: ORCHESTRATOR_MAX_PARALLEL_AGENTS is 'five'; it must be a whole number from 1 to 1000."
        % (tmp_path / ".env")
    ]


def test_names_that_other_programs_use_are_passed_over(tmp_path):
    """A wrong DEFAULT_MODEL or ENABLE_… in `.env` is another program's: a note; the file below counts."""
    (tmp_path / ".env").write_text("ENABLE_COST_TRACKING=sometimes\nDEFAULT_MODEL=two words\n")
    (tmp_path / "config.toml").write_text("cost_tracking = false\n")
    said = config.files(str(tmp_path), str(tmp_path))
    assert (said.faults, len(said.notes)) == ([], 2)
    assert {name: given.text for name, given in said.given.items()} == {"cost_tracking": "false"}


def test_what_is_overruled_is_not_wrong(tmp_path, monkeypatch):
    """With the variable set rightly in the environment, a file's wrong value stops nobody."""
    (tmp_path / ".env").write_text("ORCHESTRATOR_LOG_LEVEL=loud\n")
    assert config.files(str(tmp_path), str(tmp_path)).faults
    monkeypatch.setenv("ORCHESTRATOR_LOG_LEVEL", "info")
    assert not config.files(str(tmp_path), str(tmp_path)).faults
    monkeypatch.setenv("ORCHESTRATOR_LOG_LEVEL", "loud too")
    assert config.files(str(tmp_path), str(tmp_path)).faults


def test_dotenv_stands_above_config(tmp_path):
    """Where both name a setting, `.env` counts."""
    (tmp_path / ".env").write_text("ORCHESTRATOR_MAX_PARALLEL_AGENTS=3\n")
    (tmp_path / "config.toml").write_text("max_parallel_agents = 4\n")
    given_ = config.files(str(tmp_path), str(tmp_path)).given["max_parallel_agents"]
    assert (given_.text, given_.source) == ("3", "%s line 1" % (tmp_path / ".env"))


def test_a_home_folder_has_no_dotenv_of_ours(tmp_path, monkeypatch):
    """The `.env` of the home folder is not a project's."""
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".env").write_text("DEFAULT_MODEL=haiku\n")
    assert config.files(os.path.realpath(tmp_path), str(tmp_path)).given == {}


def test_a_pipe_is_no_file(tmp_path):
    """A named pipe or a device in the place of a file is passed over, not waited for."""
    os.mkfifo(tmp_path / ".env")
    (tmp_path / "config.toml").symlink_to("/dev/zero")
    assert config.files(str(tmp_path), str(tmp_path)).given == {}


@pytest.mark.parametrize("pattern", [
    r"ACME-[0-9]{6}", r"\S+@\S+\.\S+", r"(?i)password\s*[:=]\s*\S+", r".*internal.*", r"(?s)<a>.*?</a>",
    r"\b\d{4}[- ]?\d{4}[- ]?\d{4}\b", r"([A-Z]+-)+[0-9]+", r"[A-Za-z0-9+/]{40,}={0,2}",
    r"[\w.]+@acme\.com", r"(?i)[\w.+-]+@[\w-]+\.\w+",
])
def test_common_patterns_end_in_time(pattern):
    """What people write to find names, numbers and addresses is taken."""
    parsed = settings.parse(settings.BY_NAME["redact"], json.dumps([pattern]))
    assert settings.tried(settings.BY_NAME["redact"], parsed) == (pattern,)


# config.toml

@pytest.mark.parametrize(
    "text, sentence",
    [
        ("max_parallel_agents = '5'", "max_parallel_agents is '5'; it must be a whole number"),
        ("max_parallel_agents = true", "max_parallel_agents is 'True'; it must be a whole number"),
        ("max_parallel_agents = 5.0", "max_parallel_agents is '5.0'; it must be a whole number"),
        ("cost_tracking = 1", "cost_tracking is '1'; it must be true or false"),
        ("driver = ['auto']", "driver is '['auto']'; it must be one of auto"),
        ("driver = ''", "driver is ''; it must be one of auto"),
        ("redact = ['(']", "it must be a list of at most 50 regular expressions"),
        ("redact = ['(a+)+$']", "a list of regular expressions that end in time: (a+)+$ takes too long for a text such as aaa…"),
        ("redact = ['ACME-[0-9]+', '(Q|Q)*z']", "(Q|Q)*z takes too long for a text such as QQQ…"),
        ("redact = ['\\w+\\w+@']", "\\w+\\w+@ takes too long for a text such as aaa…"),
        ("redact = ['(?:foo|fo+)+bar']", "(?:foo|fo+)+bar takes too long"),
        ("redact = [1979-05-27]", "it must be a list of at most 50 regular expressions"),
        ("monitor_interval_seconds = nan", "it must be a number of seconds"),
        ("default_model = 1979-05-27", "default_model is '1979-05-27'; it must be one word"),
        ("max_parallel_agent = 5", "'max_parallel_agent'; max_parallel_agents is probably meant"),
        ("[driver]\nx = 1", "driver is '{'x': 1}'"),
        ("zzz = 1", "no setting 'zzz'; there are driver, "),
        ("driver = ", "is no TOML: "),
        ("driver = 'auto'\ndriver = 'auto'", "is no TOML: "),
        ("x = " + "[" * 5000, "is no TOML: "),
    ],
)
def test_config_is_checked_key_by_key(tmp_path, text, sentence):
    """Each wrong key, type or value of config.toml is named in a sentence that names the file."""
    (tmp_path / "config.toml").write_text(text)
    said = config.files(str(tmp_path), str(tmp_path))
    assert len(said.faults) == 1
    assert said.faults[0].startswith(str(tmp_path / "config.toml"))
    assert sentence in said.faults[0]


def test_all_that_is_wrong_is_said_at_once(tmp_path):
    """Several faults come together."""
    (tmp_path / "config.toml").write_text("driver = 1\nlog_level = 2\nx = 3\n")
    assert len(config.files(str(tmp_path), str(tmp_path)).faults) == 3


def test_config_that_may_not_be_read_is_said(tmp_path):
    """A config.toml that is a folder in the way is nothing; one that cannot be opened is named."""
    (tmp_path / "config.toml").mkdir()
    assert config.files(str(tmp_path), str(tmp_path)).faults == []
    loop = tmp_path / "w"
    loop.mkdir()
    (loop / "config.toml").symlink_to("config.toml")
    assert "cannot be read" in config.files(str(tmp_path), str(loop)).faults[0]


LINES = st.one_of(
    st.text(max_size=60),
    st.builds(
        "{}={}".format,
        st.sampled_from(sorted(SEED_003) + ["KEY", "export DEFAULT_MODEL"]),
        st.text(max_size=40) | st.sampled_from(['"', "'", '"\\', "5", "true", "../x", "$(id)"]),
    ),
)


@given(lines=st.lists(LINES, max_size=12), raw=st.binary(max_size=60))
@example(lines=['A="' + "\\" * 2001], raw=b"")
def test_any_dotenv_gives_allowed_values_or_sentences(tmp_path_factory, lines, raw):
    """Whatever stands in `.env`, each value that is taken is allowed, and each sentence can be shown."""
    folder = tmp_path_factory.mktemp("any")
    (folder / ".env").write_bytes("\n".join(lines).encode("utf-8", "replace") + b"\n" + raw)
    said = config.files(str(folder), str(folder))
    for name, found in said.given.items():
        assert BY_NAME[name].dotenv
        parse(BY_NAME[name], found.text)
    assert all(sentence.isprintable() and len(sentence) < 600 for sentence in said.faults + said.notes)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=4,
)


@given(
    pairs=st.lists(st.tuples(st.sampled_from(sorted(BY_NAME)) | st.text(max_size=8), VALUES), max_size=6),
    raw=st.binary(max_size=80),
)
def test_any_config_gives_allowed_values_or_sentences(tmp_path_factory, pairs, raw):
    """Whatever stands in config.toml, it is taken, or named as wrong, and never breaks a command."""
    folder = tmp_path_factory.mktemp("any")
    text = "\n".join("%s = %s" % (key, json.dumps(value)) for key, value in pairs)
    (folder / "config.toml").write_bytes(text.encode("utf-8", "replace") + b"\n" + raw)
    said = config.files(str(folder), str(folder))
    for name, found in said.given.items():
        parse(BY_NAME[name], found.text)
    assert all(sentence.isprintable() for sentence in said.faults)
