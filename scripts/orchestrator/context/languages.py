"""Outlines and symbols of languages other than Python, by tree-sitter's grammars where they are installed.

They are an extra (requirements/outlines.txt): without them such files are given whole, by lines or by path.
"""

import importlib
import os
from functools import lru_cache
from typing import Any, Iterator, Optional

# ending: (module of the grammar, its function)
GRAMMARS = {
    ".js": ("tree_sitter_javascript", "language"),
    ".jsx": ("tree_sitter_javascript", "language"),
    ".mjs": ("tree_sitter_javascript", "language"),
    ".cjs": ("tree_sitter_javascript", "language"),
    ".ts": ("tree_sitter_typescript", "language_typescript"),
    ".mts": ("tree_sitter_typescript", "language_typescript"),
    ".tsx": ("tree_sitter_typescript", "language_tsx"),
    ".go": ("tree_sitter_go", "language"),
    ".rs": ("tree_sitter_rust", "language"),
    ".java": ("tree_sitter_java", "language"),
    ".c": ("tree_sitter_c", "language"),
    ".h": ("tree_sitter_c", "language"),
    ".cc": ("tree_sitter_cpp", "language"),
    ".cpp": ("tree_sitter_cpp", "language"),
    ".hpp": ("tree_sitter_cpp", "language"),
    ".rb": ("tree_sitter_ruby", "language"),
}
LEAVES = frozenset(
    """
    function_declaration generator_function_declaration function_definition function_item
    function_signature_item method_definition method_declaration constructor_declaration method
    singleton_method type_alias_declaration type_item type_spec type_alias enum_item
    enum_declaration enum_specifier struct_item struct_specifier union_specifier method_signature
    function_signature abstract_method_signature const_item macro_definition
    """.split()
)
HOLDERS = frozenset(
    """
    class_declaration abstract_class_declaration class_specifier class module interface_declaration
    trait_item impl_item mod_item namespace_definition record_declaration internal_module
    """.split()
)
FUNCTIONS = frozenset(("arrow_function", "function_expression"))
BODIES = frozenset(
    """
    statement_block class_body interface_body block compound_statement declaration_list
    field_declaration_list enum_body enum_variant_list enumerator_list body_statement
    constructor_body object_type
    """.split()
)
WRAPPERS = frozenset(
    "export_statement lexical_declaration variable_declaration type_declaration template_declaration".split()
)
LONGEST = 300  # characters of a signature


@lru_cache(maxsize=32)
def _parser(ending: str) -> Any:
    """The parser for a file ending; None where the extra is not installed."""
    if ending not in GRAMMARS:
        return None
    module, function = GRAMMARS[ending]
    try:
        tree_sitter = importlib.import_module("tree_sitter")
        language = getattr(importlib.import_module(module), function)()
        return tree_sitter.Parser(tree_sitter.Language(language))
    except (ImportError, AttributeError, ValueError):
        return None


def known(path: str) -> bool:
    """Whether files like this one can be read here."""
    return _parser(os.path.splitext(path)[1].lower()) is not None


def outline(path: str, text: str) -> Optional[str]:
    """Signatures, each with the first line of the comment above it; None when nothing was found."""
    parser = _parser(os.path.splitext(path)[1].lower())
    if parser is None:
        return None
    data = text.encode("utf-8", "replace")
    lines: list[str] = []
    for depth, node, holder in _definitions(parser.parse(data).root_node, 0):
        lines.extend(_lines(data, depth, node, holder))
    return "\n".join(lines) + "\n" if lines else None


def symbols(path: str, text: str) -> Optional[dict[str, tuple[int, int]]]:
    """Qualified names of definitions with their first and last lines; None for an unknown language."""
    parser = _parser(os.path.splitext(path)[1].lower())
    if parser is None:
        return None
    found: dict[str, tuple[int, int]] = {}
    prefix: list[str] = []
    for depth, node, _ in _definitions(parser.parse(text.encode("utf-8", "replace")).root_node, 0):
        del prefix[depth:]
        name = _name(node)
        prefix.append(name)
        whole = _whole(node)
        if name:
            found.setdefault(".".join(prefix), (whole.start_point[0] + 1, whole.end_point[0] + 1))
    return found


def _definitions(node: Any, depth: int) -> Iterator[tuple[int, Any, bool]]:
    """(depth, node, whether it holds others) of each definition; bodies of functions are not entered."""
    for child in node.children:
        if child.type in HOLDERS and child.is_named:
            yield depth, child, True
            yield from _definitions(_body(child) or child, depth + 1)
        elif child.type in LEAVES or _is_function(child):
            yield depth, child, False
        elif child.is_named and child.type not in BODIES | FUNCTIONS:
            yield from _definitions(child, depth)


def _is_function(node: Any) -> bool:
    value = node.child_by_field_name("value") if node.type == "variable_declarator" else None
    return value is not None and value.type in FUNCTIONS


def _body(node: Any) -> Any:
    body = node.child_by_field_name("body")
    return body or next((child for child in node.children if child.type in BODIES), None)


def _whole(node: Any) -> Any:
    """The node with what is written before it: export, const, template."""
    while node.parent is not None and node.parent.type in WRAPPERS:
        node = node.parent
    return node


def _name(node: Any) -> str:
    for field in ("name", "declarator", "type"):
        found = node.child_by_field_name(field)
        while found is not None and found.child_by_field_name("declarator") is not None:
            found = found.child_by_field_name("declarator")
        if found is not None and found.text:
            return str(found.text.decode("utf-8", "replace"))
    return ""


def _lines(data: bytes, depth: int, node: Any, holder: bool) -> Iterator[str]:
    indent = "    " * depth
    whole = _whole(node)
    above = whole.prev_named_sibling
    if above is not None and "comment" in above.type and above.end_point[0] >= whole.start_point[0] - 1:
        words = (
            line.strip().lstrip("/*#!").strip() for line in above.text.decode("utf-8", "replace").split("\n")
        )
        first = next((line for line in words if line), "")
        if first:
            yield f"{indent}// {first.removesuffix('*/').strip()}"
    inner = node.child_by_field_name("value") if _is_function(node) else node
    body = _body(inner)
    end = body.start_byte if body is not None else whole.end_byte
    signature = " ".join(data[whole.start_byte : end].decode("utf-8", "replace").split())
    if len(signature) > LONGEST:
        signature = signature[:LONGEST] + " ..."
    yield indent + signature + (" {" if holder and body is not None else "")
