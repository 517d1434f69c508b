"""The gate between two conversations: what another one writes while a briefing is put together counts."""

import json

import pytest

from orchestrator.recording import payload
from orchestrator.services import gate
from orchestrator.store import open as store
from unit.test_digest import NOW, orchestrate


def call(con, number):
    """An Agent call for task t0, as the hook hands it to the gate."""
    asked = {"prompt": "orchestrator task t0", "subagent_type": "x", "description": "d"}
    text = json.dumps({"hook_event_name": "PreToolUse", "session_id": "s1", "tool_name": "Agent", "tool_use_id": f"c{number}",
                       "tool_input": asked})  # fmt: skip
    return payload.read(con, text)


@pytest.mark.parametrize("meanwhile, why", [
    (lambda con: gate.agent_call(con, call(con, 2), "/nowhere", NOW), "already being worked on"),
    (lambda con: con.execute("UPDATE orchestrations SET paused_at = ?", (NOW,)), "is paused"),
    (lambda con: con.execute("UPDATE tasks SET skipped_at = ?", (NOW,)), "is skipped"),
    (lambda con: con.execute("UPDATE orchestrations SET goal = 'another'"), None),
], ids=["deployed", "paused", "skipped", "something else"])  # fmt: skip
def test_what_others_write_while_a_briefing_is_put_together(tmp_path, monkeypatch, meanwhile, why):
    """A task that another conversation deploys, pauses or skips between the gate's look and its writing is not deployed twice."""
    con, other = [store.open_history(str(tmp_path / "history.db")) for _ in range(2)]
    orchestrate(con, "goal", ["one", "two"])
    wrote = []

    def brief(*_):
        if not wrote:
            wrote.append(True)
            meanwhile(other)
        return "a briefing", [], None, 3, "estimate"

    monkeypatch.setattr(gate, "brief", brief)
    if why:
        with pytest.raises(gate.Refused, match=why):
            gate.agent_call(con, call(con, 1), "/nowhere", NOW)
    else:
        assert "a briefing" in gate.agent_call(con, call(con, 1), "/nowhere", NOW)
    assert con.execute("SELECT count(*) FROM executions WHERE status = 'deployed'").fetchone()[0] == (why in (
        None, "already being worked on"))  # fmt: skip
    con.close()
    other.close()
