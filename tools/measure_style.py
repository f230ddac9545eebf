"""Print a table that compares source trees in what makes code easy to read.

    tools/measure_style.py FOLDER...
    tools/measure_style.py --list FOLDER

One column for each folder. Python is parsed; in Go, only functions, long lines and comments are
counted, by the layout of its formatter. `--list` prints each place instead of the table.
"""

import argparse
import ast
import math
import re
import statistics
import tokenize
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

LONG_LINE = 100
LONG_FUNCTION = 30
LONG_MODULE = 400
PRONOUNS = re.compile(r"(What|Whether|Those|That|The same|Who|Whoever|Whose|Where)\b")
# Names that each module of a kind defines: routers and loggers, typer's apps, Alembic's migrations,
# and the webhook formats, which implement one protocol.
SHARED_NAMES = frozenset(
    {
        *("router", "log", "app", "__all__"),
        *("revision", "down_revision", "upgrade", "downgrade"),
        *("NAME", "MARK", "recognises", "read"),
    }
)
_NOT_MEASURED = frozenset({"tests", "test", "versions", "migrations"})


@dataclass
class Tree:
    """The counts of one folder; each place is a string `FILE:LINE NAME`.

    `functions` are pairs of length (lines from `def` to the last one) and place.
    """

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
        """The number of lines of all modules."""
        return sum(self.modules.values())

    @property
    def twice(self) -> dict[str, list[str]]:
        """Top-level names that are defined in two modules or more, with the modules."""
        return {name: where for name, where in sorted(self.top_level.items()) if len(where) > 1}

    @property
    def p90(self) -> int:
        """The length that nine of ten functions do not exceed."""
        lengths = sorted(length for length, _ in self.functions)
        return lengths[math.ceil(len(lengths) * 0.9) - 1]


def measure(folder: Path) -> Tree:
    """Count one folder, without tests and migrations; raise SystemExit if it has no sources."""
    tree = Tree(folder.name)
    for path in sorted(folder.rglob("*.py")) + sorted(folder.rglob("*.go")):
        inner = path.relative_to(folder)
        if {part.lower() for part in inner.parts} & _NOT_MEASURED or path.stem.endswith("_test"):
            continue
        text = path.read_text()
        lines = text.splitlines()
        tree.modules[str(inner)] = len(lines)
        tree.long_lines += [
            f"{inner}:{number}" for number, line in enumerate(lines, 1) if len(line) > LONG_LINE
        ]
        if path.suffix == ".py":
            _count_python(tree, path, str(inner), text)
        else:
            _count_go(tree, lines, str(inner))
    if not tree.modules:
        raise SystemExit(f"{folder}: no Python and no Go in it")
    return tree


def _count_python(tree: Tree, path: Path, where: str, text: str) -> None:
    with path.open("rb") as source:
        tree.comments += sum(
            token.type == tokenize.COMMENT and not token.line[: token.start[1]].strip()
            for token in tokenize.tokenize(source.readline)
        )
    module = ast.parse(text)
    nodes = list(ast.walk(module))
    uses = Counter(
        [node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)]
        + [node.attr for node in nodes if isinstance(node, ast.Attribute)]
    )
    for node in nodes:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            label = f"{where}:{node.lineno} {node.name}"
            tree.functions.append(((node.end_lineno or node.lineno) - node.lineno + 1, label))
            if re.match(r"_[^_]", node.name) and not node.decorator_list and uses[node.name] == 1:
                tree.once.append(label)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            docstring = ast.get_docstring(node)
            tree.docstrings += bool(docstring)
            if docstring and PRONOUNS.match(docstring):
                place = f"{where}:{getattr(node, 'lineno', 1)}"
                tree.pronouns.append(f"{place} {docstring.splitlines()[0]}")
    for name in set(_top_level_names(module)) - SHARED_NAMES:
        tree.top_level[name].append(where)


def _top_level_names(module: ast.Module) -> Iterator[str]:
    for node in module.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Assign):
            yield from (target.id for target in node.targets if isinstance(target, ast.Name))
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            yield node.target.id


def _count_go(tree: Tree, lines: Sequence[str], where: str) -> None:
    began = 0
    for number, line in enumerate(lines, 1):
        tree.comments += line.lstrip().startswith("//")
        if line.startswith("func "):
            began = number
        # A short body stands on the line of its head.
        if began and (line.startswith("}") or (number == began and line.endswith("}"))):
            tree.functions.append((number - began + 1, f"{where}:{began}"))
            began = 0


def share(part: int, whole: int) -> float:
    """Return `part` in percent of `whole`, 0 of nothing."""
    return 100 * part / whole if whole else 0.0


def rows(tree: Tree) -> Iterator[tuple[str, str]]:
    """Yield the lines of the table for one tree: title and value."""
    lengths = [length for length, _ in tree.functions]
    sizes = list(tree.modules.values())
    is_python = bool(tree.docstrings)
    median_size = statistics.median(sizes)
    yield "modules: number, median, max lines", f"{len(sizes)}, {median_size:.0f}, {max(sizes)}"
    functions = f"{statistics.median(lengths):.0f} / {tree.p90} / {max(lengths)}"
    yield "function median / p90 / max", functions
    once = f"{share(len(tree.once), len(lengths)):.1f} %" if is_python else "-"
    yield "private helpers used once, of all functions", once
    long_lines = share(len(tree.long_lines), tree.lines)
    yield f"lines over {LONG_LINE} columns", f"{long_lines:.1f} %"
    pronouns = f"{share(len(tree.pronouns), tree.docstrings):.1f} %" if is_python else "-"
    yield "docstrings that open with a pronoun", pronouns
    yield "names defined in two modules or more", f"{len(tree.twice)}" if is_python else "-"
    yield "comment lines", f"{share(tree.comments, tree.lines):.1f} %"


def places(tree: Tree) -> Iterator[tuple[str, str]]:
    """Yield each place that the table counts: title and place."""
    yield from (("private helper used once", place) for place in tree.once)
    yield from (("long line", place) for place in tree.long_lines)
    yield from (("pronoun", place) for place in tree.pronouns)
    for name, where in tree.twice.items():
        yield "defined twice", f"{name}: {', '.join(where)}"
    for length, place in tree.functions:
        if length > LONG_FUNCTION:
            yield f"function over {LONG_FUNCTION} lines", f"{place}, {length}"
    for name, lines in tree.modules.items():
        if lines > LONG_MODULE:
            yield f"module over {LONG_MODULE} lines", f"{name}, {lines}"


def print_table(trees: Sequence[Tree]) -> None:
    """Print a table with a column for each tree."""
    print("| | " + " | ".join(tree.name for tree in trees) + " |")
    print("|---" * (len(trees) + 1) + "|")
    for line in zip(*(rows(tree) for tree in trees), strict=True):
        print(f"| {line[0][0]} | " + " | ".join(value for _, value in line) + " |")


def main() -> None:
    """Measure each folder of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folders", nargs="+", type=Path, metavar="FOLDER")
    parser.add_argument("--list", action="store_true", help="print each place, not the table")
    options = parser.parse_args()
    trees = [measure(folder) for folder in options.folders]
    if options.list:
        for tree in trees:
            for title, place in places(tree):
                print(f"{title}: {place}")
        return
    print_table(trees)


if __name__ == "__main__":
    main()
