"""What is counted in Go; Python is counted for all tests of the house."""

from pathlib import Path

from tools.measure_style import measure, rows

GO = """package router

// Router leads requests.
type Router struct {
\tname string // its name
}

func (r *Router) Name() string { return r.name }

func (r *Router) Serve(
\tpath string,
) error {
\tif path == "" {
\t\treturn nil
\t}
\t// The longest prefix wins.
\treturn r.find(path)
}

var longest = func() int {
\treturn 1
}()
"""


def test_functions_comments_and_long_lines_of_go(tmp_path: Path) -> None:
    (tmp_path / "router.go").write_text(f"{GO}// {'x' * 98}\n")
    (tmp_path / "router_test.go").write_text("func TestNothing() {\n}\n")
    tree = measure(tmp_path)
    assert tree.functions == [(1, "router.go:8"), (9, "router.go:10")]
    assert (tree.lines, tree.comments, tree.long_lines) == (23, 3, ["router.go:23"])
    shown = dict(rows(tree))
    assert shown["function median / p90 / max"] == "5 / 9 / 9"
    assert shown["private helpers used once, of all functions"] == "-"
