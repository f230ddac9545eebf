"""Print how source trees compare in what makes code easy to read: one column for each folder given.

    tools/measure_style.py src/tagboat ../procrastinate/procrastinate ../kamal-proxy/internal

Python is parsed; of Go, only what its formatter makes plain (functions, long lines, comments) is counted.
"""

import argparse
import ast
import math
import re
import statistics
import tokenize
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

LONG_LINE = 100
LONG_FUNCTION = 30
LONG_MODULE = 400
PRONOUNS = re.compile(r"(What|Whether|Those|That|The same|Who|Whoever|Whose|Where)\b")
# Names that every module of their kind defines: not one thing with two meanings.
SHARED_NAMES = frozenset(
    {"router", "log", "app", "revision", "down_revision", "upgrade", "downgrade", "__all__"}
)


@dataclass
class Tree:
    """What was counted in one folder. Lengths are lines from `def` to the last one, decorators apart."""

    name: str
    modules: dict[str, int] = field(default_factory=dict)
    functions: list[tuple[int, str]] = field(default_factory=list)
    once: list[str] = field(default_factory=list)
    long_lines: list[str] = field(default_factory=list)
    docstrings: int = 0
    pronouns: list[str] = field(default_factory=list)
    top_level: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    comments: int = 0

    @property
    def lines(self) -> int:
        """All lines of all modules."""
        return sum(self.modules.values())

    @property
    def twice(self) -> dict[str, list[str]]:
        """Top-level names that two modules or more define, with the modules."""
        return {name: where for name, where in sorted(self.top_level.items()) if len(where) > 1}


def measure(folder: Path) -> Tree:
    """Count one folder. Raises SystemExit if it holds neither Python nor Go."""
    tree = Tree(folder.name)
    for path in sorted(folder.rglob("*")):
        where = str(path.relative_to(folder))
        if not path.is_file() or _is_apart(path.relative_to(folder)):
            continue
        if path.suffix == ".py":
            _read_python(tree, path, where)
        elif path.suffix == ".go":
            _read_go(tree, path, where)
    if not tree.modules:
        raise SystemExit(f"{folder}: no Python and no Go in it")
    return tree


def _is_apart(path: Path) -> bool:
    """Return whether a file is a test, a migration or generated, which this is not about."""
    parts = {part.lower() for part in path.parts}
    return bool(parts & {"tests", "test", "versions", "migrations"}) or path.name.endswith(
        "_test.go"
    )


def _read_python(tree: Tree, path: Path, where: str) -> None:
    text = path.read_text()
    _read_lines(tree, text, where)
    with path.open("rb") as source:
        tree.comments += sum(
            token.type == tokenize.COMMENT and not token.line[: token.start[1]].strip()
            for token in tokenize.tokenize(source.readline)
        )
    module = ast.parse(text)
    uses = Counter(_names_used(module))
    for node in ast.walk(module):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            label = f"{where}:{node.lineno} {node.name}"
            tree.functions.append(((node.end_lineno or node.lineno) - node.lineno + 1, label))
            if re.match(r"_[^_]", node.name) and not node.decorator_list and uses[node.name] == 1:
                tree.once.append(label)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            said = ast.get_docstring(node)
            if said:
                tree.docstrings += 1
                if PRONOUNS.match(said):
                    tree.pronouns.append(
                        f"{where}:{getattr(node, 'lineno', 1)} {said.splitlines()[0]}"
                    )
    for name in set(_names_defined(module)) - SHARED_NAMES:
        tree.top_level[name].append(where)


def _names_used(module: ast.Module) -> Iterator[str]:
    for node in ast.walk(module):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            yield node.id
        elif isinstance(node, ast.Attribute):
            yield node.attr


def _names_defined(module: ast.Module) -> Iterator[str]:
    for node in module.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Assign):
            yield from (target.id for target in node.targets if isinstance(target, ast.Name))
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            yield node.target.id


def _read_go(tree: Tree, path: Path, where: str) -> None:
    text = path.read_text()
    _read_lines(tree, text, where)
    began = 0
    for number, line in enumerate(text.splitlines(), start=1):
        tree.comments += line.lstrip().startswith("//")
        if line.startswith("func "):
            began = number
        if began and line.startswith("}"):
            tree.functions.append((number - began + 1, f"{where}:{began}"))
            began = 0


def _read_lines(tree: Tree, text: str, where: str) -> None:
    lines = text.splitlines()
    tree.modules[where] = len(lines)
    tree.long_lines += [
        f"{where}:{number}" for number, line in enumerate(lines, start=1) if len(line) > LONG_LINE
    ]


def _share(part: Sequence[object], whole: int) -> str:
    return f"{100 * len(part) / whole:.1f} %" if whole else "-"


def rows(tree: Tree) -> Iterable[tuple[str, str]]:
    """Yield the lines of the table for one tree."""
    lengths = sorted(length for length, _ in tree.functions)
    p90 = lengths[math.ceil(len(lengths) * 0.9) - 1]
    sizes = list(tree.modules.values())
    yield (
        "modules: number, median, max lines",
        f"{len(sizes)}, {statistics.median(sizes):.0f}, {max(sizes)}",
    )
    yield "function median / p90 / max", f"{statistics.median(lengths):.0f} / {p90} / {lengths[-1]}"
    yield (
        "private helpers used once, of all functions",
        _share(tree.once, len(lengths)) if tree.docstrings else "-",
    )
    yield f"lines over {LONG_LINE} columns", _share(tree.long_lines, tree.lines)
    yield "docstrings that open with a pronoun", _share(tree.pronouns, tree.docstrings)
    yield "names defined in two modules or more", f"{len(tree.twice)}" if tree.docstrings else "-"
    yield "comment lines", f"{100 * tree.comments / tree.lines:.1f} %"


def main() -> None:
    """Measure each folder given, and print the table, or the places with `--list`."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--list", action="store_true", help="print each place instead of the table")
    given = parser.parse_args()
    trees = [measure(folder) for folder in given.folders]
    if given.list:
        for tree in trees:
            _print_places(tree)
        return
    print("| | " + " | ".join(tree.name for tree in trees) + " |")
    print("|---" * (len(trees) + 1) + "|")
    for line in zip(*(rows(tree) for tree in trees), strict=True):
        print(f"| {line[0][0]} | " + " | ".join(value for _, value in line) + " |")


def _print_places(tree: Tree) -> None:
    for title, places in (
        ("private helper used once", tree.once),
        ("long line", tree.long_lines),
        ("pronoun", tree.pronouns),
        ("defined twice", [f"{name}: {', '.join(where)}" for name, where in tree.twice.items()]),
        (
            "function over 30 lines",
            [label for length, label in tree.functions if length > LONG_FUNCTION],
        ),
        (
            "module over 400 lines",
            [name for name, lines in tree.modules.items() if lines > LONG_MODULE],
        ),
    ):
        for place in places:
            print(f"{title}: {place}")


if __name__ == "__main__":
    main()
