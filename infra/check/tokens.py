"""Characters to tokens. A string with expressions in it is one token; its `parts` are text and the inner tokens."""

from __future__ import annotations

import re
from dataclasses import dataclass

ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "'": "'", "\\": "\\", "$": "$"}
_TOKEN = re.compile(
    r"(?P<space>[ \t\r]+|//[^\n]*|/\*.*?\*/)|(?P<newline>\n)|(?P<name>[A-Za-z_]\w*)|(?P<number>\d+)"
    r"|(?P<sign>\?\?|\|\||&&|==|!=|<=|>=|=>|\.\?|[{}\[\]()@=.,:?!<>+\-*/%|])",
    re.DOTALL,
)


class BicepError(Exception):
    """The file is not Bicep as far as it is known here; the text says where and why."""


@dataclass(frozen=True, slots=True)
class Token:
    """`kind`: name, number, sign, newline, text or end."""

    kind: str
    value: str
    line: int
    parts: tuple[str | tuple[Token, ...], ...] = ()


def tokens(source: str, line: int = 1) -> list[Token]:
    """The tokens of a file, ended by one of kind `end`. Raises BicepError."""
    found, position = _scan(source, 0, line, closing="")
    if position != len(source):
        raise BicepError(f"line {found[-1].line}: unexpected end")
    return [*found, Token("end", "", found[-1].line if found else line)]


def _scan(source: str, position: int, line: int, closing: str) -> tuple[list[Token], int]:
    """Tokens up to the `closing` brace of an interpolation, or to the end where it is empty."""
    found: list[Token] = []
    depth = 0
    while position < len(source):
        if source[position] == "'":
            token, position, line = _text(source, position, line)
            found.append(token)
            continue
        match = _TOKEN.match(source, position)
        if not match:
            raise BicepError(f"line {line}: unexpected {source[position]!r}")
        value = match.group()
        depth += (value == "{") - (value == "}")
        if closing and depth < 0:
            return found, position
        if match.lastgroup != "space":
            found.append(Token(str(match.lastgroup), value, line))
        line += value.count("\n")
        position = match.end()
    if closing:
        raise BicepError(f"line {line}: an expression in a string is not closed")
    return found, position


def _text(source: str, position: int, line: int) -> tuple[Token, int, int]:
    if source.startswith("'''", position):
        end = source.find("'''", position + 3)
        if end < 0:
            raise BicepError(f"line {line}: a string is not closed")
        value = source[position + 3 : end].removeprefix("\n")
        return Token("text", value, line, (value,)), end + 3, line + source.count("\n", position, end)
    parts: list[str | tuple[Token, ...]] = []
    piece = ""
    at = position + 1
    while at < len(source) and source[at] not in "'\n":
        if source[at] == "\\":
            if source[at + 1 : at + 2] not in ESCAPES:
                raise BicepError(f"line {line}: unknown escape \\{source[at + 1 : at + 2]}")
            piece += ESCAPES[source[at + 1]]
            at += 2
        elif source.startswith("${", at):
            inner, at = _scan(source, at + 2, line, closing="}")
            parts += [piece, (*inner, Token("end", "", line))]
            piece = ""
            at += 1
        else:
            piece += source[at]
            at += 1
    if source[at : at + 1] != "'":
        raise BicepError(f"line {line}: a string is not closed")
    return Token("text", source[position : at + 1], line, (*parts, piece)), at + 1, line
