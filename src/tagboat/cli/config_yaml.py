"""YAML of configuration files: read with the line of each key, and written for people.

Plain words are read as YAML 1.2 has them: only `true` and `false` are booleans, and 22:22 is a
string. Maps of strings, such as `env`, have the text as it is written.
"""

import re
from collections.abc import Mapping
from typing import Any

import yaml
from msgspec import Struct

from tagboat.core.config_file import STRING_MAPS
from tagboat.core.errors import TagboatError

MAX_FILE_CHARACTERS = 1 << 20
"""Characters; the server takes no longer document either."""
MAX_NODES = 200_000
"""Keys and values, each as often as anchors repeat it: a small file could stand for a huge one."""
MAX_DEPTH = 12
FILE_HEAD = """\
# The configuration of Tagboat, as 'tagboat export' writes it. Values that are the default are left
# out. 'tagboat diff FILE' says what would change, 'tagboat apply FILE' changes it.
# Secrets are references: env:NAME, file:PATH or exec:COMMAND, read where the command runs; keep, or
# 'or keep' where the variable is not set, leaves the value on the server as it is.

"""
_MERGE = "<<"
_YAML_TAG = "tag:yaml.org,2002:"
_ALLOWED_TAGS = {f"{_YAML_TAG}{name}" for name in ("str", "map", "seq")} | {None, "!"}
_INTEGER = re.compile(r"[-+]?(?:0|[1-9][0-9]*)")
_DECIMAL = re.compile(r"[-+]?[0-9]+\.[0-9]*")
_LONGEST_WHOLE = 30
# Keys to a value in a map of a project, and of a stage.
_IN_STRING_MAP = (4, 6)
_DIRECTIONS = r"\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
_TURNS = re.compile(f"[{_DIRECTIONS}]")
"""Marks that change the direction of writing: a terminal would show another text."""
_BREAKS = re.compile(rf"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ufeff{_DIRECTIONS}]")
_BLOCK = re.compile(r"(?:\S|\S[^\n]*\S)(?:\n+(?:\S|\S[^\n]*\S))*\n?")
"""Lines without blanks at either end, such as certificates: they stay readable as a block."""
_NO_VALUE = ("", "~", "null", "Null", "NULL")
_YAML_WORDS = {
    **dict.fromkeys(_NO_VALUE),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}


class YamlFileError(TagboatError):
    """A file that is not usable YAML; the text names the line."""


class ConfigText(Struct, frozen=True):
    """The content of a file, called `name` in messages, and the line of each key in it."""

    name: str
    document: dict[str, Any]
    lines: Mapping[tuple[str, ...], int]

    def place(self, path: tuple[str, ...]) -> str:
        """Return `FILE:LINE` of the deepest known key of `path`."""
        while path and path not in self.lines:
            path = path[:-1]
        return f"{self.name}:{self.lines.get(path, 1)}"

    def place_of(self, dotted: str) -> str:
        """Return `FILE:LINE` of a field that the server names; names may have dots in them."""
        fitting = [path for path in self.lines if f"{dotted}.".startswith(".".join(path) + ".")]
        return self.place(max(fitting, key=len, default=()))


def read_config_text(
    text: str, name: str, expected: str = "settings, registries or projects"
) -> ConfigText:
    """Return the content of a file. Raises YamlFileError if it is not a map in valid YAML.

    `expected` names the keys of that map.
    """
    if len(text) > MAX_FILE_CHARACTERS:
        raise YamlFileError(f"{name}: longer than {MAX_FILE_CHARACTERS} characters")
    try:
        node = yaml.compose(text, Loader=yaml.BaseLoader)
    except RecursionError:
        raise YamlFileError(f"{name}: nested too deeply") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
        # A character that YAML does not know has a position only.
        line = mark.line if mark else text.count("\n", 0, getattr(error, "position", None) or 0)
        where = f"{name}:{line + 1}"
        problem = getattr(error, "problem", None) or getattr(error, "reason", None) or error
        raise YamlFileError(f"{where}: not valid YAML: {problem}") from None
    if node is None:
        raise YamlFileError(f"{name}: the file is empty")
    reader = _NodeReader(name)
    document = reader.value(node, (), 0)
    if not isinstance(document, dict):
        raise YamlFileError(f"{name}:1: must be a map with {expected}")
    return ConfigText(name, document, reader.lines)


def write_config_text(document: Mapping[str, Any], head: str = FILE_HEAD) -> str:
    """Return the YAML of a document, with a comment at the top."""
    dumper: Any = type("_Dumper", (yaml.SafeDumper,), {"ignore_aliases": lambda *_: True})
    dumper.add_representer(str, _represent)
    body = yaml.dump(
        dict(document), Dumper=dumper, sort_keys=False, allow_unicode=True, width=1_000_000
    )
    # All that have such a mark are in double quotes, where this is an escape.
    body = _TURNS.sub(lambda found: f"\\u{ord(found[0]):04x}", body)
    return f"{head}{body}"


def _represent(dumper: Any, value: str) -> Any:  # noqa: ANN401 - PyYAML ships no types
    style = None
    if _BREAKS.search(value):
        # PyYAML would write them as they are, and read some as other line breaks.
        style = '"'
    elif "\n" in value and _BLOCK.fullmatch(value):
        style = "|"
    return dumper.represent_scalar(f"{_YAML_TAG}str", value, style=style)


class _NodeReader:
    """Turns nodes into values, and notes the line of each key."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._left = MAX_NODES
        self.lines: dict[tuple[str, ...], int] = {}

    def value(self, node: Any, path: tuple[str, ...], depth: int) -> Any:  # noqa: ANN401 - any YAML
        """Return the value of a node at `path`. Raises YamlFileError."""
        self._left -= 1
        if self._left < 0 or depth > MAX_DEPTH:
            what = "nested too deeply" if depth > MAX_DEPTH else "too long with its anchors"
            raise self._error(node, what)
        tag = node.tag
        if tag not in _ALLOWED_TAGS:
            raise self._error(node, f"tags such as {tag[:40]} are not supported")
        if isinstance(node, yaml.MappingNode):
            return self.map(node, path, depth)
        if isinstance(node, yaml.SequenceNode):
            return [
                self.value(item, (*path, str(number)), depth + 1)
                for number, item in enumerate(node.value)
            ]
        return self.scalar(node, path)

    def map(self, node: Any, path: tuple[str, ...], depth: int) -> dict[str, Any]:  # noqa: ANN401 - as above
        """Return a mapping with its merges, and note the lines of its keys."""
        found: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        seen: dict[str, int] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                raise self._error(key_node, "a key must be a word")
            key, line = str(key_node.value), key_node.start_mark.line + 1
            if key in seen:
                raise self._error(
                    key_node, f"the key {key[:80]!r} is there twice, first on line {seen[key]}"
                )
            seen[key] = line
            if key == _MERGE and key_node.style is None:
                merged = self.merged(value_node, path, depth)
                continue
            found[key] = self.value(value_node, (*path, key), depth + 1)
            self.lines[*path, key] = line
        return {**merged, **found}

    def merged(self, node: Any, path: tuple[str, ...], depth: int) -> dict[str, Any]:  # noqa: ANN401 - as above
        """Return the keys that `<<` brings; of several maps the first wins."""
        nodes = node.value if isinstance(node, yaml.SequenceNode) else [node]
        merged: dict[str, Any] = {}
        for one in nodes:
            if not isinstance(one, yaml.MappingNode):
                raise self._error(one, "<< needs a map, such as an alias of one")
            merged = {**self.value(one, path, depth + 1), **merged}
        return merged

    def scalar(self, node: Any, path: tuple[str, ...]) -> object:  # noqa: ANN401 - as above
        """Return the value of a word, or its text in a map of strings."""
        text = str(node.value)
        if node.style is not None:
            return text
        if path[:1] == ("projects",) and len(path) in _IN_STRING_MAP and path[-2] in STRING_MAPS:
            if text in _NO_VALUE:
                words = f', or "{text}" for that word' if text else ""
                raise self._error(
                    node, f'{path[-1][:80]} has no value; write "" for an empty one{words}'
                )
            return text
        if text in _YAML_WORDS:
            return _YAML_WORDS[text]
        if len(text) <= _LONGEST_WHOLE and _INTEGER.fullmatch(text):
            return int(text)
        if len(text) <= _LONGEST_WHOLE and _DECIMAL.fullmatch(text):
            return float(text)
        return text

    def _error(self, node: Any, what: str) -> YamlFileError:  # noqa: ANN401 - as above
        return YamlFileError(f"{self._name}:{node.start_mark.line + 1}: {what}")
