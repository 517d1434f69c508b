"""Drawing of a bundle: a bar per item, marks for what was cut, nothing wider than the terminal."""

import pytest

from orchestrator.context.items import Item
from orchestrator.edges.cli.draw import bundle_lines


def body():
    """A bundle with one item of each kind."""
    items = [
        {
            "type": "shared_context",
            "source": "spec.md",
            "token_count": 1000,
            "shared_with": ["bun-1", "bun-2"],
        },
        {"type": "file", "source": "src/a.py", "token_count": 500, "form": "pointers", "full_tokens": 800},
        {
            "type": "file",
            "source": "src/" + "long/" * 30 + "b.py",
            "token_count": 0,
            "form": "path",
            "included": False,
            "reason": "over budget: read it when you need it",
            "priority": "optional",
        },
        {"type": "result", "source": "result of t1", "token_count": 5, "sections": []},
        {"type": "file", "source": "evil\x1b[31m\nname.py", "token_count": 1},
    ]
    return {
        "bundle_id": "bun-x",
        "context_items": items,
        "total_tokens": 1506,
        "budget_remaining": 8494,
        "how": "estimate",
        "expected": {"tokens": 2334, "how": "published margins"},
        "model": "opus",
    }


@pytest.mark.parametrize("width", [60, 80, 100, 160])
@pytest.mark.parametrize("plain", [False, True])
def test_a_line_per_item_and_the_sums(width, plain):
    """Each item has its tokens, share and bar; cuts and duplicates are marked; the largest bar is the
    longest.
    """
    lines = bundle_lines(body(), width, plain)
    bars = [line.count("#" if plain else "█") for line in lines]
    assert bars[0] == max(bars) and bars[0] >= 2 * bars[1] - 2 and bars[2] == 0
    assert "1,506 of 10,000 tokens (estimate), 15.1 %" in lines[5]
    assert "2,334 expected by opus (published margins)" in lines[6]
    assert "300 tokens less than everything in full" in lines[7]
    assert all(len(line) <= max(width, 62) for line in lines[:5])
    assert not any("\x1b" in line or "\n" in line for line in lines)
    if width >= 100:
        assert "[shared with 2]" in lines[0] and "duplicates pointed at; 300 saved" in lines[1]
        assert "not sent" in lines[2] and "..." in lines[2]


def test_an_empty_bundle_is_drawn():
    """A bundle without items is its sums."""
    drawn = bundle_lines({**body(), "context_items": [], "total_tokens": 0, "expected": None})
    assert len(drawn) == 1


def test_an_item_told_as_json_can_be_drawn():
    """What an item says of itself is what the drawing reads."""
    item = Item("file", "a.py", text="x", form="pointers", tokens=3, full_tokens=9, how="estimate")
    lines = bundle_lines({**body(), "context_items": [item.as_json()], "total_tokens": 3, "expected": None})
    assert "6 saved" in lines[0]
