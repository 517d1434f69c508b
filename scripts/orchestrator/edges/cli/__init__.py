"""Command line: the `orchestrator` program's verbs; each noun's verbs live in a file of their own, loaded when used."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from orchestrator.edges.cli.group import Verbs, main, version

__all__ = ["GROUPS", "VERBS", "Verbs", "main", "version"]

# verb: the file of this folder that defines it, under the same name with _ for -
# (in the order in which help lists them)
VERBS = {
    "init": "project", "off": "project", "on": "project", "trust": "project", "purge": "project", "backup": "project",
    "doctor": "doctor", "import": "importing",
    "plan": "plans", "task": "tasks", "next": "state", "prime": "state", "status": "state", "brief": "state",
    "resume": "drive", "stop": "drive",
    "show": "show", "report": "report", "history": "history", "stats": "stats", "who": "who", "agents": "agents",
    "list-agents": "lists", "list-tasks": "lists", "task-details": "lists", "agent-details": "lists",
    "tracker": "tracker", "outputs": "outputs", "bundle": "bundle", "count": "count", "replay": "replay",
    "archive": "archive", "prune": "archive",
    "demo": "demo", "completion": "completion",
}  # fmt: skip
# the verb that a group of help's list begins with: the group's name
GROUPS = {"init": "This project", "plan": "Orchestrations", "show": "What happened", "tracker": "By hand",
          "demo": "More"}


def __getattr__(name: str) -> object:
    """The group and what else needs click, loaded when first asked for: lists that only read do without."""
    if name in ("Verbs", "main", "version"):
        from orchestrator.edges.cli import group

        return getattr(group, name)
    raise AttributeError(name)
