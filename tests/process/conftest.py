"""Fixtures for programs started as processes: a bare environment, a copy of the plugin."""

import os
import shutil
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BASE = Path(os.path.realpath(sys.executable))
NOT_SHIPPED = shutil.ignore_patterns(".git", ".venv", "tests", "__pycache__", ".*_cache", ".hypothesis")


@pytest.fixture
def bare(tmp_path):
    """`bare(NAME=value)`: a small environment with an empty home and the running interpreter as `python3`."""
    folder = tmp_path / "only python3"
    folder.mkdir()
    (folder / "python3").symlink_to(BASE)
    home = tmp_path / "home"
    home.mkdir()

    def environment(**more):
        path = os.pathsep.join([str(folder), "/usr/bin", "/bin"])
        named = {"PATH": path, "HOME": home, "LANG": "C.UTF-8", **more}
        return {name: str(value) for name, value in named.items()}

    return environment


@pytest.fixture
def plugin(tmp_path):
    """A copy of the plugin, as shipped, in a folder whose name has a space and an apostrophe."""
    return Path(shutil.copytree(ROOT, tmp_path / "it's a plugin", ignore=NOT_SHIPPED, symlinks=True))
