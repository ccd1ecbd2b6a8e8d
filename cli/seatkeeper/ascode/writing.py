"""Files from the state of the app, from native licensing, or from a CSV file."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from seatkeeper import fields as f
from seatkeeper.ascode.model import NO_PROFILE, WITHOUT
from seatkeeper.ascode.profiles import stated
from seatkeeper.ascode.reading import PROFILE_OPTIONS
from seatkeeper.ascode.resolving import Current
from seatkeeper.errors import CliError
from seatkeeper.names import Names, folded, suggestion

HEAD = "# yaml-language-server: $schema=./licenses.v1.json\napiVersion: licensing/v1\n"
CSV_COLUMNS = ("group", "product", "disabled apps")
_PLAIN = re.compile(r"[A-Za-z][\w.@/ -]*[\w.@/-]|[A-Za-z]")
_RESERVED = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n"})


@dataclass
class Exported:
    """A group as it is written. `products`: with the names of the apps that are off."""

    name: str
    id: str = ""
    engine: str = ""
    products: dict[str, list[str]] = field(default_factory=dict)
    exclude: list[str] = field(default_factory=list)
    options: dict[str, Any] = field(default_factory=dict)
    comment: str = ""


def scalar(value: Any) -> str:
    """A value of YAML; text that could be read as something else is quoted."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return str(value)
    text = str(value)
    return text if _PLAIN.fullmatch(text) and text.lower() not in _RESERVED else json.dumps(text, ensure_ascii=False)


def document(groups: Iterable[Exported], lines: Iterable[str] = ()) -> str:
    """A file with these groups, and the lines of profiles."""
    listed = [line for each in groups for line in _lines(each)]
    found = [*(["groups:", *listed] if listed else ["groups: []"]), *lines]
    return HEAD + "".join(f"{line}\n" for line in found)


def _lines(group: Exported) -> Iterator[str]:
    yield f"  - group: {scalar(group.name)}"
    if group.id:
        yield f"    id: {scalar(group.id)}"
    if group.engine:
        yield f"    engine: {group.engine}"
    if group.comment:
        yield f"    # {group.comment}"
    yield from _product_lines(group.products)
    if group.exclude:
        yield f"    exclude: [{', '.join(scalar(each) for each in group.exclude)}]"
    for name, value in group.options.items():
        yield f"    {name}: {value if name == 'leave' else scalar(value)}"


def _product_lines(products: Mapping[str, Sequence[str]]) -> Iterator[str]:
    if products:
        yield "    products:"
    for name, off in products.items():
        listed = ", ".join(scalar(each) for each in off)
        yield f"      - {scalar(name)}: {{ off: [{listed}] }}" if off else f"      - {scalar(name)}"


def profiles_of(names: Names, profiles: Iterable[Mapping[str, Any]]) -> list[str]:
    """The lines of profiles that plan to nothing. Groups are written by ID, because a name can change."""
    lines: list[str] = []
    for row in sorted(profiles, key=lambda each: str(each["name"])):
        now = stated(row)
        lines.append(f"  {scalar(row['name'])}:")
        lines += [f"    {name}: {scalar(now[name])}" for name in PROFILE_OPTIONS if now[name] != NO_PROFILE[name]]
        conditions = [f"{name}: [{', '.join(map(scalar, values))}]" for name, values in now[f.MATCH].items()]
        lines += [f"    when: {{ {', '.join(conditions)} }}"] if conditions else []
        lines += [f"    groups: [{', '.join(map(scalar, now[f.GROUPS]))}]"] if now[f.GROUPS] else []
        licenses = {each[f.SKU_ID]: each[f.DISABLED_PLANS] for each in now[f.LICENSES]}
        lines += _product_lines({_product(names, sku): _apps(names, sku, off) for sku, off in licenses.items()})
        lines[-1] += " {}" if lines[-1] == f"  {scalar(row['name'])}:" else ""
    return ["profiles:", *lines] if lines else []


def of_app(names: Names, current: Mapping[str, Current], wanted: Iterable[Mapping[str, Any]]) -> list[Exported]:
    """The groups that this app manages, as files that plan to nothing. Raises CliError for what files cannot say."""
    return [_of_app(names, row, current[row[f.ID]]) for row in wanted]


def _of_app(names: Names, row: Mapping[str, Any], now: Current) -> Exported:
    options: dict[str, Any] = {}
    if now.options[f.USAGE_LOCATION] != WITHOUT[f.USAGE_LOCATION]:
        options["usageLocation"] = now.options[f.USAGE_LOCATION]
    if now.options[f.GUESTS] is False:
        options["guests"] = False
    if now.options[f.DISABLED_ACCOUNTS] is False:
        options["disabledAccounts"] = False
    if now.options[f.GRACE] != WITHOUT[f.GRACE]:
        days = re.fullmatch(r"P(\d+)D", str(now.options[f.GRACE]))
        if days is None:
            raise CliError(
                f"{row[f.DISPLAY_NAME]} keeps licenses for {now.options[f.GRACE]}. Files can only state whole days."
            )
        options["leave"] = f"{{ keepFor: {days[1]}d }}"
    products = {_product(names, sku): _apps(names, sku, off) for sku, off in sorted(now.licenses.items())}
    excluded = now.options[f.EXCLUDED]
    return Exported(
        name=str(row[f.DISPLAY_NAME]),
        id=str(row[f.ID]),
        products=dict(sorted(products.items())),
        exclude=[str(each) for each in excluded] if isinstance(excluded, list) else [],
        options=options,
    )


def _product(names: Names, sku_id: str) -> str:
    """The part number, or the ID if the part number does not lead back to it."""
    label = names.product_label(sku_id)
    try:
        return label if names.product(label) == sku_id else sku_id
    except CliError:
        return sku_id


def _apps(names: Names, sku_id: str, off: Iterable[str]) -> list[str]:
    found = []
    for plan in off:
        label = names.app_label(sku_id, plan)
        try:
            found.append(label if names.app(sku_id, label) == plan else plan)
        except CliError:
            found.append(plan)
    return sorted(found)


def of_native(names: Names, rows: Iterable[Mapping[str, Any]]) -> list[Exported]:
    """Groups that Microsoft licenses, each with its engine. Their products are a comment: files do not change them.

    `rows`: as the app lists its groups, or as a search finds them.
    """
    found, engines = [], {each[f.ID]: str(each[f.ENGINE]) for each in names.native}
    for row in rows:
        native = row[f.ASSIGNED_SKUS] if f.ENGINE in row else row[f.NATIVE_LICENSES]
        if not native:
            raise CliError(f"Microsoft assigns no product to {row[f.DISPLAY_NAME]}.")
        products = ", ".join(sorted(map(names.product_label, native)))
        engine, comment = engines.get(row[f.ID], "watched"), f"Microsoft assigns {products}"
        found.append(Exported(str(row[f.DISPLAY_NAME]), str(row[f.ID]), engine, comment=comment))
    return found


def of_csv(path: Path) -> list[Exported]:
    """Groups of a CSV file with the columns group, product, disabled apps. Raises CliError that names the row."""
    groups: dict[str, Exported] = {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            first = file.readline()
            file.seek(0)
            reader = csv.DictReader(file, delimiter=";" if first.count(";") > first.count(",") else ",")
            columns = {_column(str(name)): str(name) for name in reader.fieldnames or ()}
            for row in reader:
                _add(
                    groups, {name: (row.get(column) or "").strip() for name, column in columns.items()}, reader.line_num
                )
    except (OSError, UnicodeDecodeError, csv.Error) as fault:
        raise CliError(f"{path} cannot be read as CSV in UTF-8: {fault}.") from fault
    return list(groups.values())


def _column(name: str) -> str:
    known = {folded(each): each for each in CSV_COLUMNS}
    if folded(name) not in known:
        raise CliError(f"Unknown column {name!r}.{suggestion(name, CSV_COLUMNS)} Allowed: {', '.join(CSV_COLUMNS)}.")
    return known[folded(name)]


def _add(groups: dict[str, Exported], row: Mapping[str, str], line: int) -> None:
    name, product = row.get("group", ""), row.get("product", "")
    if not name or not product:
        raise CliError(f"Line {line}: group and product must both be given.")
    group = groups.setdefault(name.casefold(), Exported(name))
    if product.casefold() in {each.casefold() for each in group.products}:
        raise CliError(f"Line {line}: {name} has {product} twice.")
    off = re.split(r"[,;|+]", row.get("disabled apps", ""))
    group.products[product] = sorted({each.strip() for each in off if each.strip()})
