"""The parts of a Bicep file, as the parser returns them. `line` counts from 1."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Text:
    """A string; `parts` are its constant pieces and the expressions between them."""

    parts: tuple[str | Expression, ...]
    line: int

    @property
    def constant(self) -> str | None:
        """The string where nothing is put into it, else None."""
        if all(isinstance(part, str) for part in self.parts):
            return "".join(str(part) for part in self.parts)
        return None


@dataclass(frozen=True, slots=True)
class Constant:
    """A number, true, false or null."""

    value: int | bool | None
    line: int


@dataclass(frozen=True, slots=True)
class Name:
    """A symbol."""

    name: str
    line: int


@dataclass(frozen=True, slots=True)
class Access:
    """`base.key` and `base[key]`."""

    base: Expression
    key: Expression
    line: int


@dataclass(frozen=True, slots=True)
class Call:
    """A function, or a method where `base` is given."""

    name: str
    arguments: tuple[Expression, ...]
    line: int
    base: Expression | None = None


@dataclass(frozen=True, slots=True)
class Operation:
    """An operator with its one, two or three operands."""

    operator: str
    operands: tuple[Expression, ...]
    line: int


@dataclass(frozen=True, slots=True)
class Field:
    """One property of an object."""

    key: Text
    value: Expression
    line: int


@dataclass(frozen=True, slots=True)
class Object:
    """`{ ... }`."""

    fields: tuple[Field, ...]
    line: int

    def get(self, key: str) -> Expression | None:
        """The value of a property with a constant name."""
        return next((each.value for each in self.fields if each.key.constant == key), None)


@dataclass(frozen=True, slots=True)
class Array:
    """`[ ... ]`."""

    items: tuple[Expression, ...]
    line: int


@dataclass(frozen=True, slots=True)
class Loop:
    """`[for item in source: body]`."""

    item: str
    source: Expression
    body: Expression
    line: int


@dataclass(frozen=True, slots=True)
class Conditional:
    """`if (condition) body`, of a resource or module."""

    condition: Expression
    body: Expression
    line: int


Expression = Text | Constant | Name | Access | Call | Operation | Object | Array | Loop | Conditional


@dataclass(frozen=True, slots=True)
class Declaration:
    """A statement that makes a symbol. `type` is that of a parameter or output, or a resource's type with its version,
    or a module's path."""

    kind: str
    name: str
    type: str
    value: Expression | None
    line: int
    decorators: tuple[Call, ...] = ()


@dataclass(slots=True)
class File:
    """A parsed file."""

    path: str
    scope: str = "resourceGroup"
    declarations: list[Declaration] = field(default_factory=list)

    def of(self, kind: str) -> list[Declaration]:
        """Declarations of a kind: param, var, resource, module, output."""
        return [each for each in self.declarations if each.kind == kind]

    def named(self, name: str) -> Declaration | None:
        """The param, var, resource or module of that name."""
        return next((each for each in self.declarations if each.name == name and each.kind != "output"), None)
