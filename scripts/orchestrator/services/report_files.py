"""Report files: what agents wrote down themselves, put together as a report's document."""

import json
import os
from typing import Any, Sequence

from orchestrator.errors import OrchestratorError
from orchestrator.model.verdict import halves
from orchestrator.recording import outputs, record
from orchestrator.services.report import failures

LONGEST = 200_000  # bytes of a report file that is read


def of_files(paths: Sequence[str]) -> dict[str, Any]:
    """The same document from agents' report files (text, Markdown or JSON), as far as they say it."""
    items, wrong = [], []
    for path in paths:
        try:
            with open(path, "rb") as f:
                data = f.read(LONGEST + 1)
            if len(data) > LONGEST:
                raise ValueError(f"it has more than {LONGEST:,} bytes")
            items.append(_reported(path, data.decode("utf-8-sig")))
        except (OSError, UnicodeDecodeError, ValueError) as problem:
            why = (
                problem.strerror
                if isinstance(problem, OSError)
                else "it is not UTF-8 text"
                if isinstance(problem, UnicodeDecodeError)
                else str(problem)
            )
            wrong.append(f"{path} cannot be read: {why}.")
    if wrong:
        raise OrchestratorError(" ".join(wrong))
    states = [each["state"] for each in items]
    nothing = {"number": None, "how": None}
    return {
        "orchestration_id": None,
        "goal": f"{len(items)} report" + ("s" if len(items) != 1 else ""),
        "status": None,
        "phase": None,
        "origin": "files",
        "created_at": None,
        "completed_at": None,
        "states": {},
        "executions": len(states),
        "tokens": nothing,
        "cost": {"usd": None, "how": None, "unpriced_tokens": 0},
        "with_its_agents": None,
        "seconds": None,
        "failures": failures(items),
        "failed_before": [],
        "refused": [],
        "graph": "",
        "tasks": [],
        "others": items,
    }


def _reported(path: str, text: str) -> dict[str, Any]:
    """One report file as an item; of a JSON object, the fields that record-completion and hooks use count."""
    body: Any = {}
    if text.lstrip().startswith("{"):
        try:
            body = json.loads(text)
        except (ValueError, RecursionError):
            body = {}
    words = [body.get(name) for name in ("final_message", "result", "summary", "report", "message")]
    message = next((w for w in words if isinstance(w, str)), text)
    named = [(kind, record.clean(each)) for kind, each in outputs.named(message)]
    given = body.get("deliverables")
    files = [str(each) for each in given] if isinstance(given, list) else []
    files += [each for kind, each in named if kind == "deliverable"]
    verdicts = body.get("validation") if isinstance(body.get("validation"), dict) else {}
    verdicts = {
        **verdicts,
        **{
            name: verdict or "named"
            for name, verdict in [halves(each) for kind, each in named if kind == "validation_result"]
        },
    }
    failed = body.get("status") == "failed" or body.get("success") is False
    return {
        "id": os.path.basename(path),
        "title": str(body.get("scope") or body.get("title") or ""),
        "state": "failed" if failed else "completed" if body.get("status") else "reported",
        "agent_type": str(body.get("agent_type") or ""),
        "after": [],
        "attempts": 1,
        "model": body.get("model"),
        "execution_id": body.get("execution_id"),
        "end_reason": None,
        "seconds": None,
        "result": record.clean(message),
        "error": body.get("error_message"),
        "briefing": {"number": None, "how": None},
        "tokens": {"number": None, "how": None},
        "cost": {"usd": None, "how": None, "unpriced_tokens": 0},
        "with_its_agents": None,
        "refused_calls": 0,
        "refused_names": "",
        "deliverables": list(dict.fromkeys(files)),
        "validation": verdicts,
        "insights": [each for kind, each in named if kind == "insight"],
        "errors": [],
    }
