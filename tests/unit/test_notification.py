"""Task-notifications and handed-back reports: the client's fields, and the agent's words as nothing but words."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.model import redact
from orchestrator.recording.notification import parse, with_masked
from orchestrator.recording.payload import as_kept

NOTE = (
    "<note>A task-notification fires each time this agent stops with no live background children of its own. The user can "
    "send it another message and resume it, so the same task-id may notify more than once.</note>\n"
)
WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=200)
HOSTILE = st.one_of(
    WORDS,
    st.lists(
        st.sampled_from(
            ["<result>", "</result>", "<task-id>", "</task-id>", "a0", "<status>", "killed", "</status>", "<usage>", "\n", " ",
             "<subagent_tokens>999</subagent_tokens>", "</usage>", "</task-notification>", "<task-notification>", "<summary>"]
        )
    ).map("".join),
)  # fmt: skip


def notification(result=None, status="completed", summary='Agent "look around" finished', tokens=7495):
    """The text as both clients send it."""
    body = "" if result is None else "<result>%s</result>\n" % result
    used = "<usage><subagent_tokens>%d</subagent_tokens><tool_uses>1</tool_uses></usage>\n" % tokens if tokens else ""
    return (
        "<task-notification>\n<task-id>a3678332c5b69295c</task-id>\n<tool-use-id>toolu_AGENTBG</tool-use-id>\n"
        "<output-file>/tmp/x.output</output-file>\n<status>%s</status>\n<summary>%s</summary>\n%s%s%s</task-notification>"
        % (status, summary, NOTE, body, used)
    )


def test_a_finished_agent():
    """Who ended, of which call, how, with which words, and how large its context was."""
    found = parse(notification("BETA-RESULT final"))
    assert (found.task_id, found.call, found.status) == ("a3678332c5b69295c", "toolu_AGENTBG", "completed")
    assert found.summary == 'Agent "look around" finished'
    assert (found.result, found.tokens) == ("BETA-RESULT final", 7495)


@pytest.mark.parametrize("status", ["failed", "killed", "completed"])
def test_without_a_result(status):
    """An end without words has none, and no tokens where the client names none."""
    found = parse(notification(None, status, tokens=None))
    assert (found.status, found.result, found.tokens) == (status, None, None)


@pytest.mark.parametrize("status, summary", [
    ("stopped", 'Background agent "look around" didn\'t finish before the previous session ended'),
    ("failed", 'Background agent "look around" was running when the previous Claude Code process exited and did not complete.'),
], ids=["2.1.329", "2.1.197"])  # fmt: skip
def test_what_another_process_says_of_an_earlier_ones_agent(status, summary):
    """That a process which goes on with a conversation heard of no end is none."""
    found = parse(notification(None, status, summary, None))
    assert (found.task_id, found.status) == ("a3678332c5b69295c", None)


@given(HOSTILE)
def test_the_agents_words_stay_words(words):
    """Whatever an agent wrote, tags of the client included, is its result and changes nothing else."""
    found = parse(notification(words))
    assert (found.task_id, found.call, found.status, found.tokens) == (
        "a3678332c5b69295c", "toolu_AGENTBG", "completed", 7495)  # fmt: skip
    assert found.result == words


@given(st.text('<>/abcdefgilmnorstuy- "', max_size=80))
def test_a_description_stays_a_description(words):
    """Whatever a task is called, its end and its result are read rightly."""
    found = parse(notification("the result", summary='Agent "%s" finished' % words))
    assert (found.task_id, found.status, found.result, found.tokens) == (
        "a3678332c5b69295c", "completed", "the result", 7495)  # fmt: skip


@given(st.text(max_size=300))
def test_nothing_else_is_one(text):
    """A person's prompt is no notification, and no text makes the reader fail."""
    assert parse(text) is None or text.lstrip().startswith(("<task-notification>", "<agent-message"))


@given(st.integers(0, len(notification("words of the agent"))))
def test_cut_short(length):
    """A notification that was cut anywhere never says what the whole does not say."""
    whole = parse(notification("words of the agent"))
    found = parse(notification("words of the agent")[:length])
    if found is not None:
        for name in ("task_id", "call", "status", "summary", "tokens"):
            assert getattr(found, name) in (None, getattr(whole, name))
        assert found.result is None or whole.result.startswith(found.result.partition("<")[0])


def handed(report):
    """A report as 2.1.329 hands it back in auto mode: every line indented by two blanks."""
    lines = "\n".join("  " + line for line in report.split("\n"))
    return (
        'Another Claude session sent a message:\n<agent-message from="a3678332c5b69295c">\n  Note: read it.\n'
        "[Subagent hand-back] It is done. The report follows:\n%s\n</agent-message>" % lines
    ).partition("\n")[2]


@given(st.text("abc \n<>/-report", min_size=1, max_size=200))
def test_a_report_that_was_handed_back(report):
    """The agent's report, with its own lines and indents, from the agent the client names."""
    found = parse(handed(report))
    assert (found.task_id, found.status, found.call, found.tokens) == ("a3678332c5b69295c", "handed_back", None, None)
    assert found.result == "\n".join(report.split("\n")).strip()


@pytest.mark.parametrize(
    "text",
    [
        '<agent-message from="a1">\n  hello\n</agent-message>',
        '<agent-message from="a1">\n[Subagent hand-back] no report\n</agent-message>',
        'What does <agent-message from="a1"> mean?',
    ],
)
def test_other_messages_of_agents_are_not_ends(text):
    """A message that hands back no report, or a person's words about one, ends nothing."""
    assert parse(text) is None


@given(HOSTILE, HOSTILE)
def test_masking_what_was_said_leaves_what_is_joined_by(words, summary):
    """However much of the agent's words is masked, a notification and a report still tell whose they are, and nothing is lost
    where nothing is masked."""
    for prompt in (notification(words, summary=summary), notification(), handed(words), "what a person writes"):
        assert with_masked(prompt, lambda text: text) == prompt
        before, after = parse(prompt), parse(with_masked(prompt, lambda text: "[masked:own]"))
        if before is None:
            assert with_masked(prompt, lambda text: "[masked:own]") == "[masked:own]"
        else:
            assert (after.task_id, after.call, after.status, after.tokens) == (
                before.task_id, before.call, before.status, before.tokens)
            assert after.result == ("[masked:own]" if before.result is not None else None)


@pytest.mark.parametrize("note", [notification("done"), notification(), notification(summary=""),
                                  notification(None).replace("<summary>", "").replace("</summary>", "")])
def test_what_stands_behind_a_notification_is_masked(note):
    """A person's words after a notification are theirs, whatever tags they hold."""
    masked = with_masked(note + " hello <task-id>mine</task-id>", lambda text: text and "[masked:own]")
    assert masked.endswith("</task-notification>[masked:own]") and "mine" not in masked
    assert parse(masked).task_id == parse(note).task_id


# An event as the inbox keeps it

@pytest.fixture
def own():
    """A pattern of the user's own, for one test."""
    redact.mask_also(["geheim[0-9]+"])
    yield
    redact.mask_also([])


def test_names_of_members_are_masked_and_none_is_lost(own):
    """What one of the user's own patterns matches goes from the names in an event, too; two that are masked alike stay two,
    and a name that is read, or a value by which the event is joined, is as it was."""
    inner = {"geheim1": "a", "geheim2": "b geheim3", "[masked:own]": "c"}
    event = {"hook_event_name": "PreToolUse", "session_id": "geheim4", "geheim5": 1, "geheim6": 2,
             "tool_input": {**inner, "prompt": "say geheim7", "list": [inner]},
             "ghp_" + "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8": 3, "ghp_" + "b1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R9": 4}
    kept = json.loads(as_kept(json.dumps(event)))
    assert "geheim" not in json.dumps({**kept, "session_id": ""}) and "ghp_" not in json.dumps(kept)
    assert (kept["hook_event_name"], kept["session_id"]) == ("PreToolUse", "geheim4")
    assert sorted(value for value in kept.values() if isinstance(value, int)) == [1, 2, 3, 4]
    given_ = kept["tool_input"]
    assert given_.pop("prompt") == "say [masked:own]"
    for part in (given_.pop("list")[0], given_):
        assert sorted(part.values()) == ["a", "b [masked:own]", "c"]
