"""What a task costs the main conversation: tokens of its requests per deployed task, and how many requests."""

import pytest

from harness import Claude
from orchestrator.edges.scripted_model import Play, call, say
from plays import deploy, main, submit, task

pytestmark = [pytest.mark.bench, pytest.mark.timeout(600)]

WAVES = [["a%d" % n for n in range(4)], ["b%d" % n for n in range(4)]]
RESULT = "Found what was asked for, and where. " * 30  # about 1,100 characters, the contract allows 1,500
PROMPT = "Read what is given and say where the work should go. " * 20


def graph():
    """Eight tasks in two waves; each of the second waits for the whole first, and each gets a file."""
    return [task(name, after=WAVES[0] if name in WAVES[1] else (), prompt="DO %s. %s" % (name, PROMPT),
                 files=["src/adder.py", "README.md"]) for wave in WAVES for name in wave]


def agents(play):
    """Agents that answer alike, one after another."""
    for n, name in enumerate(name for wave in WAVES for name in wave):
        play.when("orchestrator brief " + name, call("Bash", command="orchestrator brief " + name), say(RESULT))
        play.when("DO %s." % name, say(RESULT).after(0.2 + 0.15 * (n % 4)))
    return play


def own_words(request, project):
    """The bytes a main conversation that has no plugin must write and read itself: prompt, files, earlier results."""
    files = "".join((project / name).read_text() for name in ("src/adder.py", "README.md"))
    return lambda name, results: "DO %s. %s\n%s\n%s" % (name, PROMPT, files, results)


def conversation_driver(claude, project):
    """The plugin, Agent calls."""
    play = agents(Play().when(
        main, submit(*graph()), [deploy(n) for n in WAVES[0]], "at work", [deploy(n) for n in WAVES[1]], "at work", "done"))
    return claude.run("go", play, project)


def workflow_driver(claude, project):
    """The plugin, the client's workflow engine."""
    play = agents(Play().when(main, submit(*graph()), call("Workflow", name="orchestrator:run"), "at work", "done"))
    return claude.run("go", play, project, "--allowedTools", "Workflow")


def without_the_plugin(claude, project):
    """Plain Agent calls: the main conversation writes every prompt, and gets every result."""
    write = own_words(None, project)
    first = [call("Agent", description=n, prompt=write(n, ""), subagent_type="general-purpose", run_in_background=True)
             for n in WAVES[0]]
    second = [call("Agent", description=n, prompt=write(n, RESULT * 4), subagent_type="general-purpose",
                   run_in_background=True) for n in WAVES[1]]
    notified = {"a": 0, "b": 0}

    def on(request):
        text = request.last_text + "".join(t for _, t, _ in request.last_results)
        for wave in "ab":
            notified[wave] += text.count('<summary>Agent "%s' % wave)
        if request.turn == 0:
            return first
        if notified["a"] >= 4 and not notified.get("sent"):
            notified["sent"] = True
            return second
        return "waiting"

    return claude.run("go", agents(Play().when(main, on)), project, plugin=None)


@pytest.mark.parametrize("way", [conversation_driver, workflow_driver, without_the_plugin], ids=lambda f: f.__name__)
def test_main_context(way, client, home, data, project):
    """Prints requests of the main conversation, tokens they carried, and the growth of the context per task."""
    run = way(Claude(client, home, data), project)
    requests = run.main_requests
    size = [sum(r.usage[k] for k in ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens"))
            for r in requests]
    grown = size[-1] - size[0] + requests[-1].usage["output_tokens"]
    print("\n| %s | %s | %d | %d | %d |" % (client.version, way.__doc__.split(":")[0].rstrip("."), len(requests), sum(size),
                                            grown / 8))
