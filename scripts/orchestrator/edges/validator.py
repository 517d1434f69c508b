"""Core of pydantic: its compiled validator, loaded without the packages around it (decision 15)."""

import importlib.util
import sys
from importlib.machinery import PathFinder
from typing import Any


def _extension() -> Any:
    name = "pydantic_core._pydantic_core"
    if name not in sys.modules:
        package = importlib.util.find_spec("pydantic_core")
        spec = package and PathFinder.find_spec(name, package.submodule_search_locations)
        if spec is None or spec.loader is None:
            raise ModuleNotFoundError("pydantic is not installed", name="pydantic_core")
        module = sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return sys.modules[name]


_core = _extension()
PydanticCustomError: Any = _core.PydanticCustomError
SchemaValidator: Any = _core.SchemaValidator
ValidationError: Any = _core.ValidationError
