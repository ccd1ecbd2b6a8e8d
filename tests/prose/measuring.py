"""Sentences of a file, and those that are too long or have a word to avoid."""

from __future__ import annotations

import ast
import fnmatch
import io
import json
import re
import subprocess
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

RULES = Path(__file__).with_name("words.json")
FEWEST_WORDS = 4
"""A string with fewer words is a key or a label."""


@dataclass(frozen=True)
class Finding:
    """One sentence that breaks a rule."""

    path: str
    rule: str
    sentence: str

    def __str__(self) -> str:
        return f"{self.path}: {self.rule}: {self.sentence[:200]}"


@dataclass(frozen=True)
class Report:
    """The findings of one area, with its limits."""

    name: str
    sentences: int
    long: list[Finding]
    avoided: list[Finding]
    most_long: int
    most_avoided: int

    @property
    def excess(self) -> list[Finding]:
        """All findings of each kind that is above its limit."""
        long = self.long if len(self.long) > self.most_long else []
        return long + (self.avoided if len(self.avoided) > self.most_avoided else [])

    def __str__(self) -> str:
        return (
            f"{self.name}: {self.sentences} sentences, {len(self.long)} too long (limit {self.most_long}), "
            f"{len(self.avoided)} words to avoid (limit {self.most_avoided})"
        )


def measure(root: Path, rules: dict[str, Any]) -> list[Report]:
    """A report of each area. Files that git ignores are not read, such as packages of Python and Node."""
    names = files_of(root)
    return [_measure_area(root, area, names, rules) for area in rules["areas"]]


def load_rules() -> dict[str, Any]:
    rules: dict[str, Any] = json.loads(RULES.read_text())
    return rules


def files_of(root: Path) -> list[str]:
    """Tracked files, and new ones that git does not ignore."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True).stdout
    return sorted(name for name in set(listed.split("\0")) if name and (root / name).is_file())


def _measure_area(root: Path, area: dict[str, Any], names: list[str], rules: dict[str, Any]) -> Report:
    words = [(re.compile(each["avoid"]), each["use"]) for each in rules["words"]]
    longest = rules["longestSentence"]
    rows = [(name, each) for name in names if _belongs(name, area) for each in sentences(root / name)]
    long = [Finding(name, f"{len(text.split())} words", text) for name, text in rows if len(text.split()) > longest]
    avoided = [
        Finding(name, f"'{found.group().strip()}', use: {use}", text)
        for name, text in rows
        for pattern, use in words
        if (found := pattern.search(text))
    ]
    return Report(area["name"], len(rows), long, avoided, area["long"], area["avoided"])


def _belongs(name: str, area: dict[str, Any]) -> bool:
    def matches(patterns: list[str]) -> bool:
        return any(fnmatch.fnmatch(name, pattern) for pattern in patterns)

    return matches(area["files"]) and not matches(area.get("except", []))


def sentences(path: Path) -> list[str]:
    """Every sentence of a document, a template, or the docstrings, comments and strings of a module."""
    text = path.read_text()
    texts = _python(text) if path.suffix == ".py" else [_template(text) if path.suffix == ".html" else _markdown(text)]
    return [sentence for each in texts for sentence in _split(each)]


def _split(text: str) -> list[str]:
    text = re.sub(r"`[^`]*`", "CODE", text)
    parts = re.split(r"(?<=[.!?])[)\"*]*\s+|\n\s*\n|\n\s*(?:[-*]|\d+\.)\s", text)
    return [" ".join(part.split()) for part in parts if len(part.split()) > 2]


def _markdown(text: str) -> str:
    text = re.sub(r"^```.*?^```", "\n", text, flags=re.S | re.M)
    text = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", text)
    lines = []
    for line in text.splitlines():
        if line.startswith("#"):
            line = f"\n{line.lstrip('# ')}\n"
        elif line.lstrip().startswith("|"):
            line = re.sub(r"\s*\|\s*", "\n\n", line)
        lines.append(line)
    return "\n".join(lines)


def _template(text: str) -> str:
    text = re.sub(r"\{%.*?%\}|\{#.*?#\}", " ", text, flags=re.S)
    text = re.sub(r"\{\{.*?\}\}", "VALUE", text, flags=re.S)
    text = re.sub(r"<(?:a|b|em|i|code|span|strong|time)\b[^>]*>|</(?:a|b|em|i|code|span|strong|time)>", " ", text)
    return re.sub(r"<[^>]+>", "\n\n", text)


def _python(source: str) -> list[str]:
    return [*_strings(ast.parse(source)), *_comments(source)]


def _strings(tree: ast.AST) -> Iterator[str]:
    """Docstrings, and strings with enough words; the values of a formatted string are one word each."""
    if isinstance(tree, ast.JoinedStr):
        parts = (each.value if isinstance(each, ast.Constant) else "VALUE" for each in tree.values)
        yield from _prose("".join(map(str, parts)))
        return
    if isinstance(tree, ast.Constant) and isinstance(tree.value, str):
        yield from _prose(tree.value)
    for child in ast.iter_child_nodes(tree):
        yield from _strings(child)


def _prose(text: str) -> Iterator[str]:
    if len(text.split()) >= FEWEST_WORDS:
        yield text


def _comments(source: str) -> Iterator[str]:
    """Comments; lines below each other are one text."""
    block: list[str] = []
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            block.append("" if _is_directive(token.string) else token.string.lstrip("# "))
        elif block and token.type not in (tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT):
            yield " ".join(block)
            block = []
    if block:
        yield " ".join(block)


def _is_directive(comment: str) -> bool:
    return re.match(r"#(!|\s*(noqa|type:|fmt:|mypy:))", comment) is not None
