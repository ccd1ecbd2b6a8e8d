"""Tokens to declarations: the statements and expressions of the Bicep files here.

The language: learn.microsoft.com/azure/azure-resource-manager/bicep/file. The parser knows targetScope, param, var,
resource, module, output, decorators, loops, conditions and expressions. User-defined types, imports, lambdas, spread
and nested resources raise BicepError, so no part of a file stays unchecked.
"""

from __future__ import annotations

from infra.check.nodes import (
    Access,
    Array,
    Call,
    Conditional,
    Constant,
    Declaration,
    Expression,
    Field,
    File,
    Loop,
    Name,
    Object,
    Operation,
    Text,
)
from infra.check.tokens import BicepError, Token, tokens

BINARY = (("??",), ("||",), ("&&",), ("==", "!="), ("<", ">", "<=", ">="), ("+", "-"), ("*", "/", "%"))
"""Operators from the loosest to the tightest."""

LITERALS = {"true": True, "false": False, "null": None}


def parse(path: str, source: str) -> File:
    """The file. Raises BicepError with its path and line."""
    try:
        return _Parser(tokens(source)).file(path)
    except BicepError as fault:
        raise BicepError(f"{path}: {fault}") from None


class _Parser:
    def __init__(self, found: list[Token] | tuple[Token, ...]) -> None:
        self._tokens = found
        self._at = 0

    @property
    def _next(self) -> Token:
        return self._tokens[self._at]

    def _is(self, value: str) -> bool:
        return self._next.value == value and self._next.kind in ("sign", "name")

    def _take(self, value: str = "", kind: str = "") -> Token:
        token = self._next
        if (value and not self._is(value)) or (kind and token.kind != kind):
            raise BicepError(f"line {token.line}: expected {value or kind}, found {token.value!r}")
        self._at += 1
        return token

    def _takes(self, value: str) -> bool:
        if self._is(value):
            self._at += 1
            return True
        return False

    def _lines(self) -> None:
        while self._next.kind == "newline":
            self._at += 1

    def file(self, path: str) -> File:
        file = File(path)
        decorators: list[Call] = []
        self._lines()
        while self._next.kind != "end":
            if self._takes("@"):
                call = self.postfix()
                if not isinstance(call, Call):
                    raise BicepError(f"line {self._next.line}: a decorator is a call")
                decorators.append(call)
            else:
                self._statement(file, tuple(decorators))
                decorators = []
            self._lines()
        return file

    def _statement(self, file: File, decorators: tuple[Call, ...]) -> None:
        word = self._take(kind="name")
        if word.value == "targetScope":
            self._take("=")
            file.scope = self._constant_text()
            return
        if word.value not in ("param", "var", "resource", "module", "output"):
            raise BicepError(f"line {word.line}: {word.value!r} is no statement that is known here")
        name = self._take(kind="name").value
        of_type = self._type_of(word.value)
        value = None
        if self._takes("="):
            self._lines()
            value = self._value()
        elif word.value != "param":
            raise BicepError(f"line {word.line}: {word.value} {name} has no value")
        file.declarations.append(Declaration(word.value, name, of_type, value, word.line, decorators))
        if self._next.kind not in ("newline", "end"):
            raise BicepError(f"line {self._next.line}: unexpected {self._next.value!r}")

    def _type_of(self, kind: str) -> str:
        if kind == "var":
            return ""
        if kind in ("resource", "module"):
            return self._constant_text()
        text = self._take(kind="name").value
        while self._takes("["):
            self._take("]")
            text += "[]"
        return text

    def _constant_text(self) -> str:
        token = self._take(kind="text")
        text = self._text(token).constant
        if text is None:
            raise BicepError(f"line {token.line}: a constant string is needed")
        return text

    def _value(self) -> Expression:
        """An expression, or `if (...) {...}` of a resource."""
        if self._is("if"):
            line = self._take("if").line
            self._take("(")
            condition = self.expression()
            self._take(")")
            return Conditional(condition, self.expression(), line)
        return self.expression()

    def expression(self) -> Expression:
        condition = self._binary(0)
        if not self._is("?"):
            return condition
        line = self._take("?").line
        self._lines()
        then = self.expression()
        self._lines()
        self._take(":")
        self._lines()
        return Operation("?:", (condition, then, self.expression()), line)

    def _binary(self, level: int) -> Expression:
        if level == len(BINARY):
            return self._unary()
        left = self._binary(level + 1)
        while self._next.kind == "sign" and self._next.value in BINARY[level]:
            token = self._take()
            self._lines()
            left = Operation(token.value, (left, self._binary(level + 1)), token.line)
        return left

    def _unary(self) -> Expression:
        if self._is("!") or self._is("-"):
            token = self._take()
            return Operation(token.value, (self._unary(),), token.line)
        return self.postfix()

    def postfix(self) -> Expression:
        found = self._primary()
        while True:
            line = self._next.line
            if self._takes(".") or self._takes(".?"):
                name = self._take(kind="name").value
                if self._is("("):
                    found = Call(name, self._arguments(), line, found)
                else:
                    found = Access(found, Text((name,), line), line)
            elif self._takes("["):
                found = Access(found, self.expression(), line)
                self._take("]")
            elif not self._takes("!"):
                return found

    def _primary(self) -> Expression:
        token = self._next
        if token.kind == "text":
            return self._text(self._take())
        if token.kind == "number":
            return Constant(int(self._take().value), token.line)
        if token.kind == "name":
            self._take()
            if self._is("("):
                return Call(token.value, self._arguments(), token.line)
            return Constant(LITERALS[token.value], token.line) if token.value in LITERALS else self._name(token)
        if self._is("{"):
            return self._object()
        if self._is("["):
            return self._array()
        self._take("(")
        self._lines()
        inner = self.expression()
        self._lines()
        self._take(")")
        return inner

    def _name(self, token: Token) -> Name:
        return Name(token.value, token.line)

    def _text(self, token: Token) -> Text:
        parts: list[str | Expression] = []
        for part in token.parts:
            if isinstance(part, str):
                parts.append(part)
                continue
            inner = _Parser(part)
            parts.append(inner.expression())
            inner._take(kind="end")
        return Text(tuple(part for part in parts if part != ""), token.line)

    def _arguments(self) -> tuple[Expression, ...]:
        self._take("(")
        self._lines()
        found: list[Expression] = []
        while not self._is(")"):
            found.append(self.expression())
            self._lines()
            if not self._takes(","):
                break
            self._lines()
        self._take(")")
        return tuple(found)

    def _object(self) -> Object:
        line = self._take("{").line
        self._lines()
        fields: list[Field] = []
        while not self._is("}"):
            token = self._next
            key = (
                self._text(self._take()) if token.kind == "text" else Text((self._take(kind="name").value,), token.line)
            )
            self._take(":")
            self._lines()
            fields.append(Field(key, self.expression(), token.line))
            self._separator("}")
        self._take("}")
        return Object(tuple(fields), line)

    def _array(self) -> Array | Loop:
        line = self._take("[").line
        self._lines()
        if self._is("for"):
            return self._loop(line)
        items: list[Expression] = []
        while not self._is("]"):
            items.append(self.expression())
            self._separator("]")
        self._take("]")
        return Array(tuple(items), line)

    def _loop(self, line: int) -> Loop:
        self._take("for")
        item = self._take(kind="name").value
        self._take("in")
        source = self.expression()
        self._take(":")
        self._lines()
        body = self._value()
        self._lines()
        self._take("]")
        return Loop(item, source, body, line)

    def _separator(self, closing: str) -> None:
        """Items are separated by a comma or a new line."""
        if self._takes(",") or self._next.kind == "newline":
            self._lines()
        elif not self._is(closing):
            raise BicepError(f"line {self._next.line}: unexpected {self._next.value!r}")
