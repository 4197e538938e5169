"""One YAML file being read: its mappings, its scalars, and every mistake with its line.

The file is walked as a tree of nodes, because only nodes know their lines and how a value was spelled.  Which keys
there are, and what they mean, is for `config` to say.  A mistake never quotes a value: it might be a secret.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, TypeGuard, cast

if TYPE_CHECKING:  # PyYAML is imported when there is a file to read
    from yaml import MappingNode, ScalarNode, SequenceNode

    Node: TypeAlias = ScalarNode | SequenceNode | MappingNode

_MAX_PAGE_SIZE = 1 << 20  # bytes
_MAX_SECRET_SIZE = 65535  # bytes; what MQTT can carry


class Wrong(Exception):
    """The value in hand is a mistake; the text says what is wrong and what is allowed, without the value."""


class _NotAsked(Exception):
    """The value is what is in another file, and that is not wanted."""


class Page:
    """A configuration file being read, with the mistakes and warnings found so far.

    `credentials` is the directory of the service's secrets.  Without `other_files` none that it names is touched, and
    their keys have no values; without `pins` this is so for files of PINs, without `secrets` for all private ones.
    """

    def __init__(
        self,
        path: Path,
        credentials: Path | None = None,
        *,
        other_files: bool = True,
        pins: bool = True,
        secrets: bool = True,
    ) -> None:
        self.path = path
        self._credentials = credentials
        self._other_files = other_files
        self._pins = pins
        self._secrets = secrets
        self.directory = path.absolute().parent
        self.mistakes: list[tuple[int, str]] = []
        self.warnings: list[str] = []
        self._mode = 0
        self._inline_secret: tuple[int, str] | None = None

    def mistake(self, line: int, path: str, sentence: str) -> None:
        """Note a mistake; `line` counts from 1, an empty `path` is the file as a whole."""
        self.mistakes.append((line, self.place(line, path) + sentence))

    def warn(self, line: int, path: str, sentence: str) -> None:
        """Note what is no mistake but should be known."""
        self.warnings.append(self.place(line, path) + sentence)

    def place(self, line: int, path: str) -> str:
        """Return how a sentence about this line and key begins."""
        return f"{self.path}:{line}: {path}: " if path else f"{self.path}:{line}: "

    # -- the file and its tree ----------------------------------------------------------------------------------------

    def compose(self) -> Node | None:
        """Read the file and parse it; None if it is empty or after a mistake.  Raises `FileNotFoundError`."""
        text = self._read()
        if text is None:
            return None
        import yaml

        # The loader in Python rather than the one in C: it is always there and its messages are always the same.
        try:
            root = cast("Node | None", yaml.compose(text, Loader=yaml.SafeLoader))
        except yaml.MarkedYAMLError as error:
            self.mistake(*_syntax_mistake(error))
        except yaml.reader.ReaderError as error:
            self.mistake(text.count("\n", 0, error.position) + 1, "", "holds a control character; remove it")
        except (RecursionError, ValueError, OverflowError):  # the last two: a \U escape beyond Unicode
            self.mistake(1, "", "is not valid YAML: it is nested too deeply, or has an impossible \\U escape")
        else:
            return root
        return None

    def _read(self) -> str | None:
        try:
            data, self._mode = _read_file(self.path, _MAX_PAGE_SIZE)
        except FileNotFoundError:
            raise
        except OSError as error:
            self.mistake(1, "", f"cannot be read: {error.strerror}")
            return None
        if len(data) > _MAX_PAGE_SIZE:
            self.mistake(1, "", "is larger than 1 MiB; that is no configuration file")
            return None
        try:
            return data.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            self.mistake(data.count(b"\n", 0, error.start) + 1, "", "is not UTF-8; save the file in that encoding")
            return None

    def section(self, node: Node, path: str, kinds: Mapping[str, Kind]) -> tuple[dict[str, Any], dict[str, Node]]:
        """Read a mapping whose keys are in `kinds`: the values that are right, and the nodes of all known keys given.

        A mapping without any content counts as empty.
        """
        nodes = self._entries(node, path, kinds)
        values: dict[str, Any] = {}
        for key, value in nodes.items():
            below = join(path, key)
            try:
                values[key] = kinds[key](self, value, below)
            except _NotAsked:
                pass
            except Wrong as wrong:
                self.mistake(line_of(value), below, str(wrong))
        return values, nodes

    def _entries(self, node: Node, path: str, kinds: Mapping[str, Kind]) -> dict[str, Node]:
        if is_a(node, "null"):
            return {}
        found: dict[str, Node] = {}
        # First the mapping itself, then what its `<<` name; the first to give a key wins.  Each is visited once, since
        # an alias may lead back to its own mapping.
        pending = [node]
        visited = set()
        while pending:
            mapping = pending.pop(0)
            if id(mapping) in visited:
                continue
            visited.add(id(mapping))
            if is_mapping(mapping):
                own, merged = self._own_entries(mapping, path, kinds)
                found = own | found
                pending = merged + pending
            else:
                self.mistake(line_of(mapping), path, "must be a mapping, that is lines of the form `key: value`")
        return found

    def _own_entries(
        self, mapping: MappingNode, path: str, kinds: Mapping[str, Kind]
    ) -> tuple[dict[str, Node], list[Node]]:
        """The known keys of one mapping, and the mappings that it merges."""
        found: dict[str, Node] = {}
        lines: dict[str, int] = {}
        merged: list[Node] = []
        for key_node, value in mapping.value:
            key = key_node.value if key_node.id == "scalar" else ""
            if key_node.tag == "tag:yaml.org,2002:merge":
                merged += value.value if value.id == "sequence" else [value]
            elif key not in kinds:
                self.mistake(line_of(key_node), *_unknown_key(path, key, kinds, mapping, value))
            elif key in found:
                self.mistake(line_of(key_node), join(path, key), f"is given twice, first in line {lines[key]}")
            else:
                found[key] = value
                lines[key] = line_of(key_node)
        return found, merged

    # -- secrets and other files --------------------------------------------------------------------------------------

    def note_inline_secret(self, node: Node, path: str) -> None:
        """Remember that the file itself holds a secret."""
        self._inline_secret = self._inline_secret or (line_of(node), path)

    def warn_of_inline_secret(self) -> None:
        """Warn if the file holds a secret and everybody can read it."""
        if self._inline_secret and self._mode & stat.S_IROTH:
            self.warn(*self._inline_secret, f"every user can read this secret; chmod o-r {self.path}")

    def named_file(self, node: Node, path: str, *, private: bool, limit: int = 0) -> tuple[Path, bytes]:
        """The file that `node` names, relative to the configuration, and at most `limit` + 1 bytes of it.

        A `private` one that is named without a directory is first looked for among the service's credentials;
        everybody being able to read it is worth a warning.
        """
        name = text(self, node, path)
        if not self._other_files or (private and not self._secrets):
            raise _NotAsked
        file = self.directory / name
        if private and self._credentials is not None and "/" not in name and _is_there(self._credentials / name):
            file = self._credentials / name
        try:
            data, mode = _read_file(file, limit)
        except OSError as error:
            # Without the name: who mixes up `password` and `password_file` has written the password here.
            elsewhere = self._hidden_credentials if private and "/" not in name else ""
            raise Wrong(
                f"cannot read this file: {error.strerror}; a relative path starts at {self.directory}{elsewhere}"
            ) from None
        if private and mode & stat.S_IROTH:
            self.warn(line_of(node), path, f"every user can read {file}; chmod o-r {file}")
        return file, data

    @property
    def _hidden_credentials(self) -> str:
        """The end of a sentence about a file that is not there: it may be a credential that cannot be seen now."""
        if self._credentials is None or os.access(self._credentials, os.R_OK | os.X_OK):
            return ""
        return "; one that systemd hands to the service (LoadCredential) is found by root, and while that runs"

    def pin_file(self, node: Node, path: str) -> str:
        """The one line in the file of a PIN."""
        if not self._pins:
            raise _NotAsked
        return self.secret_file(node, path)

    def secret_file(self, node: Node, path: str) -> str:
        """The one line in the file that `node` names, without its newline."""
        file, data = self.named_file(node, path, private=True, limit=_MAX_SECRET_SIZE)
        if len(data) > _MAX_SECRET_SIZE:
            raise Wrong(f"{file} is too large for a secret; at most {_MAX_SECRET_SIZE} bytes are allowed")
        try:
            secret = data.decode("utf-8-sig").removesuffix("\n").removesuffix("\r")
        except UnicodeDecodeError:
            raise Wrong(f"{file} is not UTF-8 text") from None
        if not secret:
            raise Wrong(f"{file} is empty; it must hold the secret")
        return secret


Kind: TypeAlias = Callable[[Page, "Node", str], Any]
"""Reads the value of one key, given its path: returns it, raises `Wrong`, or notes mistakes on the page by itself."""


def line_of(node: Node) -> int:
    """Return the line where `node` starts, counted from 1."""
    return int(node.start_mark.line) + 1


def join(path: str, key: str) -> str:
    """Return the path of `key` in the mapping at `path`."""
    return f"{path}.{key}" if path else key


def is_mapping(node: Node) -> TypeGuard[MappingNode]:
    """Return whether `node` holds keys and values."""
    return node.id == "mapping"


def is_a(node: Node, tag: str) -> bool:
    """Return whether `node` is a scalar that YAML reads as `tag`: str, int, float, bool, null or timestamp."""
    return node.id == "scalar" and node.tag == f"tag:yaml.org,2002:{tag}"


# -- kinds of scalars -------------------------------------------------------------------------------------------------

_YAML_READS = {"bool": "true or false", "int": "a number", "float": "a number", "timestamp": "a date"}


def string(node: Node) -> str:
    """The characters of a scalar that YAML reads as text, at least one."""
    if node.id != "scalar":
        raise Wrong("must be text, not a list or a mapping")
    if is_a(node, "null"):
        raise Wrong("has no value; give one or remove the key")
    for tag, reading in _YAML_READS.items():
        if is_a(node, tag):
            raise Wrong(f"must be text, but YAML reads {reading} here; put it in quotes")
    if not is_a(node, "str"):
        raise Wrong("must be text; one that starts with ! needs quotes, and tags such as !secret are not known here")
    if not node.value:
        raise Wrong("must not be empty")
    return str(node.value)


def text(page: Page, node: Node, path: str) -> str:
    """Printable text without spaces at its ends."""
    value = string(node)
    if not value.isprintable() or value != value.strip():
        raise Wrong("must not hold control characters, nor spaces at its ends")
    return value


def boolean(page: Page, node: Node, path: str) -> bool:
    """True or false, in any of YAML's spellings."""
    value = node.value.lower() if is_a(node, "bool") else ""
    if value not in ("true", "yes", "on", "false", "no", "off"):
        raise Wrong("must be true or false, without quotes")
    return value in ("true", "yes", "on")


def choice(*allowed: str, any_case: bool = False) -> Kind:
    """A kind for one of the words in `allowed`."""

    def read(page: Page, node: Node, path: str) -> str:
        word = str(node.value) if is_a(node, "str") else ""
        word = word.lower() if any_case else word
        if word not in allowed:
            raise Wrong(f"must be {', '.join(allowed[:-1])} or {allowed[-1]}")
        return word

    return read


# -- inside -----------------------------------------------------------------------------------------------------------


def _is_there(file: Path) -> bool:
    """Return whether there is such a file, as far as this user may look."""
    try:
        return file.exists()
    except OSError:
        return False


def _read_file(path: Path, limit: int) -> tuple[bytes, int]:
    """Return at most `limit` + 1 bytes of a file, and its mode (0 unless it is a regular file)."""
    with open(path, "rb") as file:
        status = os.fstat(file.fileno())
        return file.read(limit + 1), status.st_mode if stat.S_ISREG(status.st_mode) else 0


def _unknown_key(path: str, key: str, kinds: Mapping[str, Kind], mapping: MappingNode, value: Node) -> tuple[str, str]:
    """Return the path and sentence for a key that has no meaning.

    Such a "key" may be a piece of a secret, as in `{password: one,two}` or `{password:one}`: it is quoted only if it
    looks like a key and has a value.
    """
    allowed = ", ".join(kinds)
    if not re.fullmatch(r"[A-Za-z][A-Za-z_-]{0,30}", key) or (mapping.flow_style and is_a(value, "null")):
        return path, f"this is no key; text with : or , in it needs quotes; keys allowed here: {allowed}"
    import difflib

    near = difflib.get_close_matches(key.lower(), kinds, n=1)
    hint = f", did you mean {near[0]}?" if near else ","
    return join(path, key), f"unknown key{hint} allowed here: {allowed}"


_SYNTAX = (
    (r"found character '\t'", "indentation must be made of spaces, not tabs"),
    ("cannot start any token", "text that starts with one of % @ ` needs quotes"),
    ("found undefined alias", "text that starts with * needs quotes, and an alias needs an anchor before it"),
    ("second occurrence", "the same anchor a second time; text that starts with & needs quotes"),
    ("mapping values are not allowed", 'wrong indentation, or text with ": " in it that needs quotes'),
    ("could not find expected ':'", "a line that is not `key: value`; is there a space after the colon?"),
    ("unknown escape character", "unknown \\ escape in double quotes; put text with \\ in single quotes"),
    ("unexpected end of stream", "a quote is opened here and never closed"),
    ("expected <block end>", "wrong indentation; keys of one mapping start in the same column"),
    ("but found another document", "a second document starts here, only one is allowed"),
    ("undefined tag handle", "text that starts with ! needs quotes"),
    ("expected ',' or", "a { or [ is not closed, or a comma is missing"),
)
"""What PyYAML says, and what we say instead: its own words may quote the line, and so a secret."""


def _syntax_mistake(error: Any) -> tuple[int, str, str]:
    problem = error.problem or ""
    sentence = next((plain for theirs, plain in _SYNTAX if theirs in problem), "this line cannot be understood")
    # What is never closed is noticed only at the end of the file; the line to look at is where it was opened.
    unclosed = "end of stream" in problem or "<stream end>" in problem
    mark = (error.context_mark if unclosed else None) or error.problem_mark or error.context_mark
    return (mark.line + 1 if mark else 1), "", f"is not valid YAML: {sentence}"
