"""Settings end to end: from files, environment and options to what commands say and hooks do."""

import json
import os
import sqlite3

import pytest

from commands import Here
from orchestrator.store import blobs


@pytest.fixture
def here(tmp_path, bare, data):
    """A project without git, in a path with a space."""
    project = tmp_path / "a project"
    project.mkdir()
    return Here(project, bare(ORCHESTRATOR_DATA=data))


def meta(path):
    """The settings a history keeps for hooks."""
    con = sqlite3.connect(path)
    try:
        return dict(con.execute("SELECT * FROM meta WHERE key GLOB 'setting.*' OR key GLOB 'option.*'"))
    finally:
        con.close()


def executions(path):
    """How many deployments a history has."""
    con = sqlite3.connect(path)
    try:
        return con.execute("SELECT count(*) FROM executions").fetchone()[0]
    finally:
        con.close()


def in_force(here, name, **more):
    """(value, source) of a setting, as doctor says it."""
    found = json.loads(here.run("doctor", "--json", **more).stdout)["settings"]
    return next((each["value"], each["source"]) for each in found if each["name"] == name)


@pytest.mark.parametrize("first", ["environment", ".env", "config.toml", "option", "default"])
def test_the_order_of_sources(here, first):
    """The environment stands above `.env`, that above config.toml, that above a plugin option, that above the
    default; doctor names each, and what hooks need of it is kept for them.
    """
    sources = ["environment", ".env", "config.toml", "option", "default"]
    given = sources[sources.index(first) :]
    here.run("init")
    more, option = {}, {}
    if "option" in given:
        option = {"CLAUDE_PLUGIN_OPTION_MAX_PARALLEL_AGENTS": "14"}
    if "config.toml" in given:
        (here.workspace / "config.toml").write_text("max_parallel_agents = 13\n")
    if ".env" in given:
        (here.project / ".env").write_text("ORCHESTRATOR_MAX_PARALLEL_AGENTS=12\n")
    if "environment" in given:
        more = {"ORCHESTRATOR_MAX_PARALLEL_AGENTS": "11"}
    here.hook("SessionStart", source="startup", env=option)
    value = {"environment": 11, ".env": 12, "config.toml": 13, "option": 14, "default": 5}[first]
    places = {
        "environment": "the environment (ORCHESTRATOR_MAX_PARALLEL_AGENTS)",
        ".env": "%s line 1" % (here.project / ".env"),
        "config.toml": str(here.workspace / "config.toml"),
        "option": "the plugin's options",
        "default": "the default",
    }
    assert in_force(here, "max_parallel_agents", **more) == (value, places[first])
    here.run("task", "add", "Look around", "--agent", "scout", **more)
    kept = meta(here.workspace / "history.db")
    assert kept.get("option.max_parallel_agents") == ("14" if "option" in given else None)
    in_files = {".env": "12", "config.toml": "13"}
    expected = next((in_files[each] for each in given if each in in_files), None)
    assert kept.get("setting.max_parallel_agents") == expected


def driven(here, *titles):
    """An orchestration of these tasks that session s1 drives."""
    here.hook("SessionStart", source="startup")
    for title in titles:
        here.run("task", "add", title, "--agent", "scout", CLAUDE_CODE_SESSION_ID="s1")


def verdict(answer):
    """What a hook decided about a tool call, and why."""
    output = (answer or {}).get("hookSpecificOutput", {})
    return output.get("permissionDecision"), output.get("permissionDecisionReason", "")


def test_a_limit_of_the_file_is_the_gates_limit(here):
    """max_parallel_agents of config.toml reaches the gate by the next command, and leaves it so too."""
    here.run("init")
    (here.workspace / "config.toml").write_text("max_parallel_agents = 1\n")
    driven(here, "one", "two", "three")
    assert verdict(here.deploys("c1", prompt="orchestrator task one"))[0] == "allow"
    decision, reason = verdict(here.deploys("c2", prompt="orchestrator task two"))
    assert (decision, "1 agent is at work, the limit" in reason) == ("deny", True)
    (here.workspace / "config.toml").write_text("")
    here.run("status")
    assert "setting.max_parallel_agents" not in meta(here.workspace / "history.db")
    assert verdict(here.deploys("c3", prompt="orchestrator task two"))[0] == "allow"


def test_a_hooks_environment_stands_above_the_file(here):
    """What the client's own environment says is in force in its hooks."""
    here.run("init")
    (here.workspace / "config.toml").write_text("max_parallel_agents = 1\n")
    driven(here, "one", "two")
    here.deploys("c1", prompt="orchestrator task one")
    again = here.deploys("c2", prompt="orchestrator task two", env={"ORCHESTRATOR_MAX_PARALLEL_AGENTS": "2"})
    assert verdict(again)[0] == "allow"


def test_an_option_is_in_force_in_the_hook_that_sees_it_and_afterwards(here):
    """A plugin option counts at once, is kept for commands at a session's start, and is dropped with it."""
    driven(here, "one", "two", "three", "four", "five", "six")
    option = {"CLAUDE_PLUGIN_OPTION_DRIVER": "conversation"}
    here.hook("SessionStart", source="resume", env=option)
    assert meta(here.workspace / "history.db") == {"option.driver": "conversation"}
    assert "Agent(" in here.says("next", CLAUDE_CODE_SESSION_ID="s1")
    here.hook("SessionStart", source="resume")
    assert meta(here.workspace / "history.db") == {}
    assert "Workflow(" in here.says("next", CLAUDE_CODE_SESSION_ID="s1")


def test_the_first_hook_of_a_fresh_project_keeps_the_options(here):
    """Where the first deployment makes the workspace, the command after it already knows the options."""
    here.deploys(env={"CLAUDE_PLUGIN_OPTION_DEFAULT_MODEL": "haiku"})
    assert in_force(here, "default_model") == ("haiku", "the plugin's options")


@pytest.mark.parametrize(
    "file, text, words",
    [
        (".env", "ORCHESTRATOR_MAX_PARALLEL_AGENTS=0\n", "line 1: ORCHESTRATOR_MAX_PARALLEL_AGENTS is '0'"),
        (".orchestrator/config.toml", "driver = 'fast'\n", "driver is 'fast'; it must be one of auto"),
        (".orchestrator/config.toml", "drivr = 'auto'\n", "'drivr'; driver is probably meant"),
        (".orchestrator/config.toml", "driver = \n", "is no TOML"),
        (".env", "ORCHESTRATOR_DB_PATH=../out.db\n", "must stay inside the project"),
    ],
)
def test_a_wrong_file_is_refused_by_commands_and_passed_over_by_hooks(here, file, text, words):
    """A command says what is wrong and ends with 1; hooks go on recording; mended, all is well."""
    here.run("task", "add", "Look around", "--agent", "scout")
    (here.project / file).write_text(text)
    for _ in range(2):
        said = here.says("status", code=1)
        assert words in said and str(here.project / file) in said
    here.deploys()
    assert executions(here.workspace / "history.db") == 1
    assert words in here.says("doctor", code=1)
    here.run("init")  # what mends is not refused
    (here.project / file).unlink()
    here.run("status")


def test_a_wrong_environment_is_refused(here):
    """A wrong ORCHESTRATOR_ variable is named; another program's is passed over and doctor says so."""
    here.run("task", "add", "Look around", "--agent", "scout")
    said = here.says("status", code=1, ORCHESTRATOR_DRIVER="fast")
    assert "the environment: ORCHESTRATOR_DRIVER is 'fast'; it must be one of auto" in said
    here.run("status", ENABLE_OBSERVABILITY="sometimes", MONITOR_INTERVAL_SECONDS="1m")
    said = here.says("doctor", MONITOR_INTERVAL_SECONDS="1m")
    assert "MONITOR_INTERVAL_SECONDS is '1m'" in said and "passed over" in said


def test_what_the_environment_overrules_may_be_wrong_below(here):
    """With the variable set, commands run whatever the file says; without it they refuse again."""
    here.run("task", "add", "Look around", "--agent", "scout")
    (here.project / ".env").write_text("ORCHESTRATOR_LOG_LEVEL=loud\n")
    here.run("status", ORCHESTRATOR_LOG_LEVEL="info")
    here.run("status", code=1)


def test_nothing_in_dotenv_is_executed(here, tmp_path):
    """Substitutions, backquotes and other variables in `.env` stay text."""
    (here.project / ".env").write_text(
        "X=$(touch '%s/ran')\nDEFAULT_MODEL=`touch${IFS}ran`\nPATH=/nowhere\nORCHESTRATOR_DRIVER=workflow\n"
        "ORCHESTRATOR_DATA=/nowhere\nORCHESTRATOR_OFF=1\nORCHESTRATOR_PROJECT=/\n" % tmp_path
    )
    here.run("task", "add", "Look around", "--agent", "scout")
    assert meta(here.workspace / "history.db") == {"setting.default_model": "`touch${IFS}ran`"}
    assert not (tmp_path / "ran").exists() and not (here.project / "ran").exists()


# The history's place

def test_a_history_of_dotenv_is_the_hooks_too(here):
    """ORCHESTRATOR_DB_PATH in `.env`, relative to the project, moves commands and then hooks; taken out, both
    come back.
    """
    here.run("task", "add", "Look around", "--agent", "scout")
    (here.project / ".env").write_text("ORCHESTRATOR_DB_PATH=./orchestrator.db\n")
    said = here.says("task", "add", "Elsewhere", "--agent", "scout")
    assert "from now on" in said and "stays" in said
    below = here.project / "below"
    below.mkdir()
    here.deploys("c1", cwd=below)
    assert executions(here.project / "orchestrator.db") == 1
    assert executions(here.workspace / "history.db") == 0
    assert "from now on" not in here.says("status", cwd=below)
    (here.project / ".env").unlink()
    assert "Look around" in here.says("status")
    here.deploys("c2")
    assert executions(here.workspace / "history.db") == 1
    (here.project / ".env").write_text("ORCHESTRATOR_DB_PATH=./orchestrator.db\n")
    assert "Elsewhere" in here.says("status")


def test_a_history_of_config_toml(here):
    """config.toml places it as well, below `.env`."""
    here.run("init")
    (here.workspace / "config.toml").write_text("history = 'of config.db'\n")
    here.run("task", "add", "Look around", "--agent", "scout")
    here.deploys()
    assert executions(here.project / "of config.db") == 1
    (here.project / ".env").write_text("ORCHESTRATOR_DB_PATH='of env.db'\n")
    here.run("task", "add", "Look around", "--agent", "scout")
    assert (here.project / "of env.db").exists()


@pytest.fixture
def ways_out(here, tmp_path):
    """Links that lead out of the project."""
    out = tmp_path / "out"
    out.mkdir()
    (here.project / "link").symlink_to(out)
    (here.project / "file.db").symlink_to(out / "x.db")
    (here.project / "chain").symlink_to("link")
    (here.project / ".git").mkdir()
    (here.project / "folder").mkdir()
    return out


@pytest.mark.parametrize(
    "file, path, words",
    [
        (".env", "../out/x.db", "stay inside"),
        ("config.toml", "../out/x.db", "stay inside"),
        (".env", "OUT/x.db", "stay inside"),
        ("config.toml", "link/x.db", "stay inside"),
        (".env", "chain/x.db", "stay inside"),
        ("config.toml", "file.db", "stay inside"),
        (".env", "folder/../../out/x.db", "stay inside"),
        ("config.toml", "link/../x.db", "stay inside"),
        (".env", ".", "stay inside"),
        ("config.toml", "~/x.db", "a folder that is there"),
        (".env", ".git/x.db", "git's own folder"),
        ("config.toml", "folder", "must be a file"),
        (".env", "no/such/x.db", "a folder that is there"),
    ],
)
def test_a_projects_file_places_no_history_outside(here, ways_out, file, path, words):
    """Out by climbing, by an absolute path or by links, into git's folder, onto or into what is no folder:
    refused, nothing is made there, and hooks go on with the workspace's own.
    """
    path = path.replace("OUT", str(ways_out))
    here.run("init")
    if file == ".env":
        (here.project / file).write_text("ORCHESTRATOR_DB_PATH=%s\n" % path)
    else:
        (here.workspace / file).write_text("history = %s\n" % json.dumps(path))
    assert words in here.says("task", "add", "x", "--agent", "scout", code=1)
    here.deploys()
    assert executions(here.workspace / "history.db") == 1
    assert os.listdir(ways_out) == [] and os.listdir(here.project / ".git") == []
    assert words in here.says("doctor", code=1)


@pytest.mark.parametrize("kind", ["text", "empty", "sqlite", "another's", "hanging"])
def test_no_file_that_is_there_is_taken_for_a_history(here, tmp_path, data, kind):
    """A file of the project is neither written to nor believed: a history that came with the code could
    deploy what its author planned.
    """
    there = here.project / "there.db"
    if kind == "text":
        there.write_text("hello\n")
    elif kind == "empty":
        there.touch()
    elif kind == "another's":
        theirs = tmp_path / "their data"
        theirs.mkdir()
        for name in os.listdir(data):
            if name.startswith("ready-"):
                (theirs / name).write_bytes((data / name).read_bytes())
        other = tmp_path / "other"
        other.mkdir()
        (other / ".env").write_text("ORCHESTRATOR_DB_PATH=x.db\n")
        Here(other, here.environment).run("task", "add", "x", "--agent", "scout", ORCHESTRATOR_DATA=theirs)
        con = sqlite3.connect(other / "x.db")
        con.execute("PRAGMA journal_mode = DELETE")
        con.close()
        there.write_bytes((other / "x.db").read_bytes())
    else:
        con = sqlite3.connect(there)
        con.execute("CREATE TABLE t (x)")
        if kind == "hanging":
            con.execute(
                "CREATE VIEW meta AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) "
                "SELECT i AS key, i AS value FROM n"
            )
        con.close()
    before = there.read_bytes()
    (here.project / ".env").write_text("ORCHESTRATOR_DB_PATH=there.db\n")
    assert "did not make it" in here.says("task", "add", "x", "--agent", "scout", code=1)
    here.deploys()
    assert there.read_bytes() == before
    assert executions(here.workspace / "history.db") == 1


def test_hooks_do_not_follow_a_way_that_leads_out_later(here, tmp_path):
    """When a folder on the way is replaced by a link that leaves the project, hooks keep to the workspace."""
    (here.project / "sub").mkdir()
    (here.project / ".env").write_text("ORCHESTRATOR_DB_PATH=sub/h.db\n")
    here.run("task", "add", "x", "--agent", "scout")
    out = tmp_path / "out"
    (here.project / "sub").rename(out)
    (here.project / "sub").symlink_to(out)
    here.deploys()
    assert executions(out / "h.db") == 0
    assert executions(here.workspace / "history.db") == 1
    assert "stay inside" in here.says("status", code=1)


def test_a_workspace_of_somebody_else_places_nothing(here, tmp_path):
    """Without a trusted workspace neither its files nor `.env` count: no history is opened or made."""
    here.workspace.mkdir(mode=0o700)
    (here.workspace / "history-path").write_text("planted.db\n")
    (here.workspace / "config.toml").write_text("driver = 'workflow'\n")
    (here.project / ".env").write_text("ORCHESTRATOR_DB_PATH=planted.db\n")
    here.run("status", code=1)
    here.run("task", "add", "x", "--agent", "scout", code=1)
    here.deploys()
    assert not (here.project / "planted.db").exists()
    assert in_force_of_untrusted(here) == "auto"


def in_force_of_untrusted(here):
    """The driver, as a doctor who finds something broken says it."""
    found = json.loads(here.run("doctor", "--json", code=1).stdout)["settings"]
    return next(each["value"] for each in found if each["name"] == "driver")


def test_the_environment_may_place_it_anywhere(here, tmp_path):
    """ORCHESTRATOR_DB_PATH in the environment and --db name any file; a relative one is the project's, from
    wherever it is asked; `.env` does not matter then.
    """
    out = tmp_path / "out"
    out.mkdir()
    (here.project / ".env").write_text("ORCHESTRATOR_DB_PATH=../bad.db\n")
    below = here.project / "below"
    below.mkdir()
    here.run("init")
    here.run("task", "add", "x", "--agent", "scout", ORCHESTRATOR_DB_PATH="rel.db", cwd=below)
    here.deploys(env={"ORCHESTRATOR_DB_PATH": "rel.db"}, cwd=below)
    assert executions(here.project / "rel.db") == 1
    here.run("task", "add", "x", "--agent", "scout", ORCHESTRATOR_DB_PATH=out / "abs.db")
    here.run("--db", out / "flag.db", "task", "add", "x", "--agent", "scout")
    assert sorted(name for name in os.listdir(out) if name.endswith(".db")) == ["abs.db", "flag.db"]
    assert not (here.project / "bad.db").exists()


def test_files_that_did_not_change_are_not_read_again(here):
    """A command looks at the state of the files, not into them, until that changes; it costs one row."""
    here.run("init")
    config = here.workspace / "config.toml"
    config.write_text("max_parallel_agents = 2\n")
    here.run("task", "add", "x", "--agent", "scout")
    con = sqlite3.connect(here.workspace / "history.db")
    con.execute("UPDATE meta SET value = '3' WHERE key = 'setting.max_parallel_agents'")
    con.commit()
    here.run("status")
    assert meta(here.workspace / "history.db")["setting.max_parallel_agents"] == "3"
    os.utime(config)
    here.run("status")
    assert meta(here.workspace / "history.db")["setting.max_parallel_agents"] == "2"
    con.close()


# observability = false

def agents(here):
    """(origin, status) of all that is recorded, and how many events there are."""
    con = sqlite3.connect(here.workspace / "history.db")
    try:
        rows = con.execute("SELECT origin, status FROM executions ORDER BY deployed_at, origin").fetchall()
        return rows, con.execute("SELECT count(*) FROM events WHERE kind != 'plan'").fetchone()[0]
    finally:
        con.close()


TOLD = """<task-notification>
<task-id>%s</task-id>
<tool-use-id>%s</tool-use-id>
<status>completed</status>
<summary>Agent "look" finished</summary>
<result>done</result>
</task-notification>"""


def ends(here, call, agent, kind="general-purpose"):
    """An agent's whole life after its call: launched, begun, stopped, told."""
    launched = {"status": "async_launched", "agentId": agent}
    told = TOLD % (agent, call)
    here.hook("PostToolUse", tool_name="Agent", tool_use_id=call, tool_input={}, tool_response=launched)
    here.hook("SubagentStart", agent_id=agent, agent_type=kind)
    here.hook("SubagentStop", agent_id=agent, agent_type=kind, last_assistant_message="done")
    return here.hook("UserPromptSubmit", prompt=told)


@pytest.mark.parametrize("where", ["environment", "file"])
def test_only_orchestrations_are_recorded_where_the_user_wants_that(here, where):
    """observability = false: an agent that belongs to no orchestration leaves no row and no event; planned
    work and the planner are recorded as ever, and the gate is as it was (S2-39).
    """
    driven(here, "one")
    if where == "environment":
        here.environment["ENABLE_OBSERVABILITY"] = "false"
    else:
        (here.workspace / "config.toml").write_text("observability = false\n")
        here.run("status")
    assert here.deploys("c1") is None
    assert ends(here, "c1", "a1") is None
    here.hook("PostToolUseFailure", tool_name="Agent", tool_use_id="c9", tool_input={}, error="no such type")
    assert agents(here) == ([], 0)
    assert verdict(here.deploys("c2", prompt="orchestrator task one"))[0] == "allow"
    asked = {"description": "x", "prompt": "look", "subagent_type": "general-purpose"}
    here.hook("SubagentStart", agent_id="a2", agent_type="orchestrator:scout")
    launched = {"status": "async_launched", "agentId": "a2"}
    here.hook("PostToolUse", tool_name="Agent", tool_use_id="c2", tool_input={}, tool_response=launched)
    nested = here.hook("PreToolUse", tool_name="Agent", tool_use_id="c3", tool_input=asked, agent_id="a2")
    assert verdict(nested)[0] == "deny"  # its task may not spawn
    ends(here, "c2", "a2", "orchestrator:scout")
    assert agents(here)[0] == [("planned", "completed")]
    planner = {"description": "plan", "prompt": "a goal", "subagent_type": "orchestrator:planner"}
    here.hook("PreToolUse", session="s2", tool_name="Agent", tool_use_id="c4", tool_input=planner)
    assert ("planner", "deployed") in agents(here)[0]


def test_patterns_of_the_users_own_are_masked_everywhere(here):
    """What the setting `redact` matches is kept by neither hooks nor commands."""
    here.run("init")
    (here.workspace / "config.toml").write_text("redact = ['ACME-[0-9]{6}']\n")
    here.run("task", "add", "Look at ACME-123456", "--agent", "scout", "--prompt", "Ask ACME-123456 why")
    here.deploys("c1", prompt="Ask ACME-654321 why")
    con = sqlite3.connect(here.workspace / "history.db")
    kept = "\n".join(con.iterdump())
    texts = [blobs.get(con, address).decode() for (address,) in con.execute("SELECT hash FROM blobs")]
    con.close()
    assert "Ask [masked:own] why" in "\n".join(texts)
    assert "ACME-" not in kept.replace("ACME-[0-9]{6}", "") + "\n".join(texts)
