"""Outlines: a file's classes and functions as signatures with the first line of their docstrings."""

import ast
from typing import Iterator, Optional, Union

from orchestrator.context import languages

Definition = Union[ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef]


def outline(path: str, text: str) -> Optional[str]:
    """The outline of a file; None when none can be made."""
    if path.endswith((".py", ".pyi")):
        try:
            return _python(text)
        except (SyntaxError, ValueError, RecursionError):
            return None
    return languages.outline(path, text)


def python_symbols(text: str) -> dict[str, tuple[int, int]]:
    """Qualified names of functions and classes, each with its first and last line, decorators included."""
    found: dict[str, tuple[int, int]] = {}

    def walk(nodes: list[ast.stmt], prefix: str) -> None:
        for node in nodes:
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
                first = min([node.lineno, *(d.lineno for d in node.decorator_list)])
                found.setdefault(prefix + node.name, (first, node.end_lineno or node.lineno))
                walk(node.body, prefix + node.name + ".")
            elif isinstance(node, (ast.If, ast.Try)):
                for block in (node.body, node.orelse, *(h.body for h in getattr(node, "handlers", []))):
                    walk(block, prefix)

    walk(ast.parse(text).body, "")
    return found


def _python(text: str) -> str:
    module = ast.parse(text)
    lines = text.split("\n")
    out = []
    doc = _first_line(module)
    if doc:
        out.append('"""%s"""' % doc)
    out.extend(_body(module.body, lines, ""))
    return "\n".join(out) + "\n"


def _body(nodes: list[ast.stmt], lines: list[str], indent: str) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield from _function(node, lines, indent)
        elif isinstance(node, ast.ClassDef):
            yield from _class(node, lines, indent)
        elif isinstance(node, (ast.If, ast.Try)):
            for block in (node.body, node.orelse, *(h.body for h in getattr(node, "handlers", []))):
                yield from _body(block, lines, indent)
        elif isinstance(node, (ast.Assign, ast.AnnAssign)) and _short(node):
            yield indent + lines[node.lineno - 1].strip()


def _short(node: ast.stmt) -> bool:
    return node.end_lineno == node.lineno and (node.end_col_offset or 0) <= 100


def _function(
    node: Union[ast.FunctionDef, ast.AsyncFunctionDef], lines: list[str], indent: str
) -> Iterator[str]:
    for decorator in node.decorator_list:
        yield indent + "@" + ast.unparse(decorator)
    word = "async def" if isinstance(node, ast.AsyncFunctionDef) else "def"
    returns = " -> " + ast.unparse(node.returns) if node.returns else ""
    yield f"{indent}{word} {node.name}({ast.unparse(node.args)}){returns}: ..."
    doc = _first_line(node)
    if doc:
        yield f'{indent}    """{doc}"""'


def _class(node: ast.ClassDef, lines: list[str], indent: str) -> Iterator[str]:
    for decorator in node.decorator_list:
        yield indent + "@" + ast.unparse(decorator)
    bases = ", ".join(ast.unparse(base) for base in [*node.bases, *node.keywords])
    yield f"{indent}class {node.name}{'(' + bases + ')' if bases else ''}:"
    doc = _first_line(node)
    if doc:
        yield f'{indent}    """{doc}"""'
    yield from _body(node.body, lines, indent + "    ")


def _first_line(node: Union[Definition, ast.Module]) -> str:
    doc = ast.get_docstring(node, clean=True) or ""
    return doc.strip().split("\n", 1)[0].replace('"""', "'''")
