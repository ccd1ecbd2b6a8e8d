"""Names: declared once and used; functions exist; modules get what they ask for and give what is asked of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Set

from infra.check.nodes import (
    Access,
    Array,
    Call,
    Conditional,
    Constant,
    Declaration,
    Expression,
    File,
    Loop,
    Name,
    Object,
    Operation,
    Text,
)

FUNCTIONS = frozenset(
    {
        *(
            "cidrSubnet",
            "concat",
            "contains",
            "empty",
            "environment",
            "first",
            "guid",
            "items",
            "json",
            "last",
            "length",
        ),
        *("loadJsonContent", "loadTextContent", "max", "min", "range", "replace", "reference", "resourceGroup"),
        *("resourceId", "split", "string", "subscription", "subscriptionResourceId", "substring", "take", "tenant"),
        *("toLower", "toUpper", "trim", "union", "uniqueString"),
    }
)
"""Functions that files here may use; any other is a fault until it is added."""

DECORATORS = frozenset(
    {"allowed", "batchSize", "description", "maxLength", "maxValue", "metadata", "minLength", "minValue", "secure"}
)
PRIMITIVES = frozenset({"string", "int", "bool", "object", "array"})


def symbol_faults(file: File, modules: Mapping[str, File]) -> Iterator[tuple[int, str]]:
    """Line and text of each fault. `modules`: the files that module declarations name, by symbol."""
    yield from _duplicates(file)
    yield from _headers(file)
    used: Counter[str] = Counter()
    for each in file.declarations:
        if each.value is not None:
            yield from _names(file, each.value, frozenset(), used)
            yield from _outputs(each.value, modules)
    for each in file.declarations:
        if each.kind in ("param", "var") and not used[each.name]:
            yield each.line, f"{each.kind} {each.name} is never used"
    for each in file.of("module"):
        if each.name in modules:
            yield from _given(each, modules[each.name])


def _headers(file: File) -> Iterator[tuple[int, str]]:
    for each in file.declarations:
        for decorator in each.decorators:
            if decorator.name not in DECORATORS:
                yield decorator.line, f"unknown decorator @{decorator.name}"
        if each.kind in ("param", "output") and each.type.removesuffix("[]") not in PRIMITIVES:
            yield each.line, f"unknown type {each.type} of {each.name}"
        yield from _default(each)


def _default(declaration: Declaration) -> Iterator[tuple[int, str]]:
    """A constant default is among the values that `@allowed` names."""
    allowed = [each.arguments[0] for each in declaration.decorators if each.name == "allowed" and each.arguments]
    if declaration.value is None or not allowed or not isinstance(allowed[0], Array):
        return
    names = [_constant(each) for each in allowed[0].items]
    if _constant(declaration.value) not in names:
        yield declaration.line, f"the default of {declaration.name} is not among the allowed values"


def _constant(expression: Expression) -> object:
    return expression.constant if isinstance(expression, Text) else getattr(expression, "value", None)


def _duplicates(file: File) -> Iterator[tuple[int, str]]:
    seen: set[tuple[bool, str]] = set()
    for each in file.declarations:
        key = (each.kind == "output", each.name)
        if key in seen:
            yield each.line, f"{each.name} is declared twice"
        seen.add(key)
        if each.value is not None:
            yield from _doubled_keys(each.value)
    names: set[tuple[str, str]] = set()
    for each in (*file.of("resource"), *file.of("module")):
        body = body_of(each)
        name = body.get("name") if body else None
        if name is None or isinstance(each.value, Loop):
            continue
        above = "/".join(shown(body.get(each)) for each in ("scope", "parent")) if body else ""
        key_of = (each.type if each.kind == "resource" else "module", f"{above}/{shown(name)}")
        if key_of in names:
            yield each.line, f"{each.kind} {each.name} has the same name as another one: {shown(name)}"
        names.add(key_of)


def _doubled_keys(expression: Expression) -> Iterator[tuple[int, str]]:
    for each in walk(expression):
        if isinstance(each, Object):
            keys = Counter(item.key.constant for item in each.fields if item.key.constant is not None)
            for key, times in keys.items():
                if times > 1:
                    yield each.line, f"property {key} is given {times} times"


def _names(file: File, expression: Expression, loop: Set[str], used: Counter[str]) -> Iterator[tuple[int, str]]:
    if isinstance(expression, Name):
        used[expression.name] += 1
        if expression.name not in loop and file.named(expression.name) is None:
            yield expression.line, f"undefined symbol {expression.name}"
    if isinstance(expression, Call) and expression.base is None and expression.name not in FUNCTIONS:
        yield expression.line, f"unknown function {expression.name}"
    inner = loop | {expression.item} if isinstance(expression, Loop) else loop
    for each in children(expression):
        yield from _names(file, each, inner, used)


def _given(module: Declaration, target: File) -> Iterator[tuple[int, str]]:
    body = body_of(module)
    params = body.get("params") if body else None
    fields = params.fields if isinstance(params, Object) else ()
    given = {each.key.constant: each for each in fields}
    declared = {each.name: each for each in target.of("param")}
    for name, field in given.items():
        if name not in declared:
            yield field.line, f"module {module.name} has no parameter {name}"
    for name, each in declared.items():
        if each.value is None and name not in given:
            yield module.line, f"module {module.name} is not given its parameter {name}"


def _outputs(expression: Expression, modules: Mapping[str, File]) -> Iterator[tuple[int, str]]:
    for each in walk(expression):
        if (
            isinstance(each, Access)
            and isinstance(each.base, Access)
            and isinstance(each.base.base, Name)
            and isinstance(each.base.key, Text)
            and isinstance(each.key, Text)
            and each.base.base.name in modules
            and each.base.key.constant == "outputs"
        ):
            outputs = {output.name for output in modules[each.base.base.name].of("output")}
            if each.key.constant not in outputs:
                yield each.line, f"module {each.base.base.name} has no output {each.key.constant}"


def body_of(declaration: Declaration) -> Object | None:
    """The object of a resource or module, out of its loop and condition."""
    value = declaration.value
    while isinstance(value, Loop | Conditional):
        value = value.body
    return value if isinstance(value, Object) else None


def children(expression: Expression) -> tuple[Expression, ...]:
    """The parts of an expression."""
    match expression:
        case Text(parts=parts):
            return tuple(each for each in parts if not isinstance(each, str))
        case Access(base=base, key=key):
            return (base, key)
        case Call(arguments=arguments, base=base):
            return arguments if base is None else (base, *arguments)
        case Operation(operands=operands):
            return operands
        case Object(fields=fields):
            return tuple(part for each in fields for part in (each.key, each.value))
        case Array(items=items):
            return items
        case Loop(source=source, body=body):
            return (source, body)
        case Conditional(condition=condition, body=body):
            return (condition, body)
        case Constant() | Name():
            return ()


def walk(expression: Expression) -> Iterator[Expression]:
    """The expression and all within it."""
    yield expression
    for each in children(expression):
        yield from walk(each)


def shown(expression: Expression | None) -> str:
    """An expression as text that is equal for equal expressions."""
    match expression:
        case None:
            return ""
        case Text(parts=parts):
            return "".join(each if isinstance(each, str) else f"${{{shown(each)}}}" for each in parts)
        case Name(name=name):
            return name
        case Access(base=base, key=key):
            return f"{shown(base)}.{shown(key)}"
        case Call(name=name, arguments=arguments):
            return f"{name}({', '.join(shown(each) for each in arguments)})"
        case _:
            return " ".join([type(expression).__name__, *(shown(each) for each in children(expression))])
