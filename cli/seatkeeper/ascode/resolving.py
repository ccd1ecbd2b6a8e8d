"""The entries of the files with IDs in place of names, beside the state of the app. Reads only."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from seatkeeper import fields as f
from seatkeeper import routes
from seatkeeper.ascode.model import (
    DIRECT,
    NO_PROFILE,
    WITHOUT,
    GroupEntry,
    Place,
    ProductEntry,
    ProfileEntry,
    Statement,
)
from seatkeeper.client import Client, together
from seatkeeper.errors import ApiError, CliError
from seatkeeper.names import Names, Row, suggestion

Licenses = Mapping[str, frozenset[str]]
"""SKU IDs with the IDs of the apps that are off."""


@dataclass(frozen=True)
class Current:
    """The state of a group in the app. `version`: 0 if it has nothing."""

    licenses: Licenses = field(default_factory=dict)
    options: Mapping[str, object] = field(default_factory=dict)
    version: int = 0
    operation_id: str = ""


@dataclass(frozen=True)
class Resolved:
    """An entry of the files as the app must have it, and what the app has."""

    entry: GroupEntry
    id: str
    name: str
    licenses: Licenses
    options: Mapping[str, object]
    current: Current


@dataclass(frozen=True)
class ResolvedProfile:
    """A profile of the files with IDs in place of names, as the API takes it."""

    name: str
    body: Mapping[str, Any]


@dataclass
class Resolution:
    """`faults`: every reason against the files, each with its line. `unnamed`: managed groups that they do not name."""

    groups: list[Resolved] = field(default_factory=list)
    profiles: list[ResolvedProfile] = field(default_factory=list)
    not_changed: list[str] = field(default_factory=list)
    unnamed: list[Row] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)


class Resolver:
    def __init__(self, client: Client, names: Names) -> None:
        self._client = client
        self._names = names
        self._managed = {str(each[f.ID]): each for each in names.direct}
        self._current: dict[str, Current] = {}

    def resolve(self, statement: Statement) -> Resolution:
        """All entries. A fault of one does not hide those of the others."""
        found = Resolution()
        seen: dict[str, GroupEntry] = {}
        self._names.search_together(entry.id or entry.group for entry in statement.groups)
        self._read_together(statement)
        for entry in statement.groups:
            try:
                row = self._group(entry)
                group_id = str(row[f.ID])
                if group_id in seen:
                    raise CliError(
                        f"{entry.group} is the same group as {seen[group_id].group} in {seen[group_id].place}."
                    )
                seen[group_id] = entry
                self._check_engine(entry, row)
                if entry.is_paused or entry.engine not in ("", DIRECT):
                    found.not_changed.append(f"{entry.group}: {'paused' if entry.is_paused else entry.engine}")
                else:
                    self._add(found, entry, row)
            except CliError as fault:
                found.faults.append(f"{entry.place}: {fault.message}")
        for profile in statement.profiles:
            self._add_profile(found, profile)
        found.unnamed = [each for each in self._names.direct if each[f.ID] not in seen and each[f.ASSIGNED_SKUS]]
        return found

    def _add(self, found: Resolution, entry: GroupEntry, row: Row) -> None:
        faults = len(found.faults)
        licenses = dict(self._licenses(entry.products, found.faults))
        excluded = sorted(self._named(entry.exclude, entry.place, "exclude", found.faults))
        if licenses and not row.get(f.USABLE, True):
            found.faults.append(f"{entry.place}: {entry.group} cannot be licensed. {row[f.REASON_NOT_USABLE]}")
        if len(found.faults) == faults:
            options = {**WITHOUT, **entry.options, f.EXCLUDED: excluded}
            current = self.current(str(row[f.ID]))
            found.groups.append(Resolved(entry, str(row[f.ID]), str(row[f.DISPLAY_NAME]), licenses, options, current))

    def _add_profile(self, found: Resolution, entry: ProfileEntry) -> None:
        faults = len(found.faults)
        licenses = dict(self._licenses(entry.products, found.faults))
        groups = sorted({*self._named(entry.groups, entry.place, "groups", found.faults)})
        if len(found.faults) > faults:
            return
        listed = [{f.SKU_ID: sku_id, f.DISABLED_PLANS: sorted(off)} for sku_id, off in sorted(licenses.items())]
        when = {name: sorted(values) for name, values in sorted(entry.when.items())}
        body = {**NO_PROFILE, **entry.options, f.MATCH: when, f.GROUPS: groups, f.LICENSES: listed}
        found.profiles.append(ResolvedProfile(entry.name, body))

    def _group(self, entry: GroupEntry) -> Row:
        """The group of an entry. Raises CliError if the name and the ID do not lead to one and the same group."""
        if not entry.id:
            named = self._names.groups_named(entry.group)
            if not named:
                near = [
                    str(each[f.DISPLAY_NAME])
                    for each in (*self._names.find_groups(entry.group), *self._managed.values())
                ]
                raise CliError(f"There is no group {entry.group!r}.{suggestion(entry.group, near)}")
            if len(named) > 1:
                ids = ", ".join(str(each[f.ID]) for each in named)
                raise CliError(f"{len(named)} groups are named {entry.group!r}: {ids}. Add the id of one.")
            return named[0]
        by_id = [each for each in self._names.groups_named(entry.id) if each[f.ID] == entry.id]
        if not by_id:
            raise CliError(f"There is no group with the id {entry.id}.")
        name = str(by_id[0][f.DISPLAY_NAME])
        if name.casefold() == entry.group.casefold() or entry.group.lower() == entry.id:
            return by_id[0]
        named = self._names.groups_named(entry.group)
        if named:
            raise CliError(
                f"The id and the name disagree: {entry.id} is {name!r}, and {entry.group!r} is {named[0][f.ID]}."
            )
        raise CliError(
            f"The group was renamed: {entry.id} is now {name!r}. Change the name in the file if it is still meant."
        )

    def _check_engine(self, entry: GroupEntry, row: Row) -> None:
        """Which engine assigns is changed by a move, never by an edit of a file."""
        native = row.get(f.NATIVE_LICENSES) or []
        managed = self._managed.get(str(row[f.ID]), {}).get(f.ASSIGNED_SKUS)
        if entry.engine not in ("", DIRECT) and managed:
            text = f"This app assigns the licenses of {entry.group}, and a file cannot change the engine."
            raise CliError(f"{text} Remove engine: {entry.engine}.")
        if native and not managed and entry.engine in ("", DIRECT) and entry.products:
            products = f"{len(native)} product{'s' if len(native) != 1 else ''}"
            raise CliError(
                f"Microsoft assigns {products} to {entry.group}, and a file cannot change the engine. "
                "Write engine: watched, and move the group with its own operation."
            )

    def _licenses(self, products: Iterable[ProductEntry], faults: list[str]) -> Iterator[tuple[str, frozenset[str]]]:
        seen: dict[str, str] = {}
        for product in products:
            try:
                sku_id = self._names.product(product.name)
                if sku_id not in self._names.skus:
                    raise CliError(f"The tenant has no product {product.name}.")
                if sku_id in seen:
                    raise CliError(f"{product.name} is the same product as {seen[sku_id]}.")
                seen[sku_id] = product.name
                yield sku_id, frozenset(self._apps(sku_id, product.off))
            except CliError as fault:
                faults.append(f"{product.place}: {fault.message}")

    def _apps(self, sku_id: str, off: tuple[str, ...]) -> Iterator[str]:
        known = [str(each[f.PLAN_ID]) for each in self._names.skus[sku_id][f.SERVICE_PLANS]]
        found = [self._names.app(sku_id, each) for each in off]
        if known and set(known) <= set(found):
            raise CliError(f"Every app of {self._names.product_label(sku_id)} would be off. Leave one on.")
        yield from found

    def _named(self, groups: Iterable[str], place: Place, key: str, faults: list[str]) -> Iterator[str]:
        for name in groups:
            try:
                if not self._names.groups_named(name):
                    near = [str(each[f.DISPLAY_NAME]) for each in self._names.find_groups(name)]
                    raise CliError(f"There is no group {name!r}.{suggestion(name, near)}")
                yield self._names.group(name)
            except CliError as fault:
                faults.append(f"{place}: {key}: {fault.message}")

    def _read_together(self, statement: Statement) -> None:
        """Read the state of all managed groups that the files name, before they are resolved one by one."""
        keys = {entry.id or entry.group.casefold() for entry in statement.groups}
        wanted = [key for key, row in self._managed.items() if keys & {key, str(row[f.DISPLAY_NAME]).casefold()}]
        self._current |= dict(zip(wanted, together(self._read, wanted), strict=True))

    def current(self, group_id: str) -> Current:
        """The state of a group in the app."""
        if group_id not in self._current:
            self._current[group_id] = self._read(group_id) if group_id in self._managed else Current()
        return self._current[group_id]

    def _read(self, group_id: str) -> Current:
        try:
            found = self._client.ask(routes.ASSIGNMENT, group_id)
        except ApiError as fault:
            if fault.status == 404:
                return Current()
            raise
        return Current(
            licenses={each[f.SKU_ID]: frozenset(each[f.DISABLED_PLANS]) for each in found[f.ASSIGNED_LICENSES]},
            options=found[f.OPTIONS],
            version=found[f.VERSION],
            operation_id=found[f.OPERATION_ID] or "",
        )
