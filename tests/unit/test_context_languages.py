"""Outlines of other languages: signatures and symbols by the extra's grammars, a sentence without."""

import pytest

from orchestrator.context import languages, outline, sections

TYPESCRIPT = """/** Doc of A. */
export interface A { x: number; open(): void }
/** Adds.
 * more */
export function add(a: number, b = 2): number {
  return a + b;
}
export class Box<T> extends Base {
  private size = 0;
  /** Opens. */
  async open(x: string): Promise<void> { await 1; }
}
const arrow = (x) => { return x; };
describe("x", () => { function hidden() {} });
"""
GO = """package x
// Server serves.
type Server struct { a int }
// Run runs.
func (s *Server) Run(ctx context.Context) error { return nil }
"""
RUST = """/// A point.
pub struct P { x: i32 }
impl P {
    /// New.
    pub fn new(x: i32) -> Self { P { x } }
}
"""
C = """/* adds */
static int add(int a, int b) { return a + b; }
char *name(void) { return 0; }
"""


@pytest.mark.parametrize(
    ("path", "text", "grammar", "holds", "lacks", "names"),
    [
        (
            "a.ts",
            TYPESCRIPT,
            "tree_sitter_typescript",
            [
                "// Adds.\nexport function add(a: number, b = 2): number\n",
                "    async open(x: string): Promise<void>\n",
            ],
            ["return a + b", "await 1", "hidden"],
            {"add": (5, 7), "Box.open": (11, 11), "arrow": (13, 13)},
        ),
        (
            "a.go",
            GO,
            "tree_sitter_go",
            ["// Run runs.\nfunc (s *Server) Run(ctx context.Context) error\n"],
            ["return nil"],
            {"Server": (3, 3), "Run": (5, 5)},
        ),
        (
            "a.rs",
            RUST,
            "tree_sitter_rust",
            ["impl P {\n    // New.\n    pub fn new(x: i32) -> Self\n"],
            ["P { x }"],
            {"P.new": (5, 5)},
        ),
        (
            "a.c",
            C,
            "tree_sitter_c",
            ["// adds\nstatic int add(int a, int b)\n"],
            ["return"],
            {"add(int a, int b)": (2, 2)},
        ),
    ],
)
def test_an_outline_by_its_grammar(path, text, grammar, holds, lacks, names):
    """Signatures with the comment's first line, no bodies; symbols with their lines."""
    pytest.importorskip("tree_sitter")
    pytest.importorskip(grammar)
    short = outline.outline(path, text)
    assert all(piece in short for piece in holds) and not any(piece in short for piece in lacks)
    found = languages.symbols(path, text)
    for name, place in names.items():
        assert next(p for n, p in found.items() if n == name or n == name.split("(")[0]) == place


def test_without_the_extra_a_symbol_is_refused_in_a_sentence(monkeypatch):
    """Where the grammar is missing, the refusal names lines and the extra; there is no outline."""
    monkeypatch.setattr(languages, "_parser", lambda ending: None)
    assert outline.outline("a.ts", TYPESCRIPT) is None
    with pytest.raises(sections.NoSection, match=r"name lines instead.*requirements/outlines\.txt"):
        sections.find(sections.Spec("a.ts", symbol="add"), "a.ts", TYPESCRIPT)
    with pytest.raises(sections.NoSection, match=r"name lines instead, as a\.zig:10-40\.$"):
        sections.find(sections.Spec("a.zig", symbol="add"), "a.zig", "")
