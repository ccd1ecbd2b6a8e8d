"""Reads a folder of YAML files into one statement. Every fault is named with its file and line; nothing is sent."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from seatkeeper import fields as f
from seatkeeper.ascode import schema
from seatkeeper.ascode.model import (
    DEFAULT_REMOVALS,
    DIRECT,
    OPTIONS,
    GroupEntry,
    Limit,
    Place,
    PolicyTest,
    ProductEntry,
    ProfileEntry,
    Statement,
)
from seatkeeper.errors import CliError, Rejected

PROFILE_OPTIONS = (f.DISPLAY_NAME, f.USAGE_LOCATION, f.PRIORITY, f.EXCLUSIVE, f.SELECTABLE)
"""Options of a profile: their names in files are those of the API."""

ONCE = ("defaults", "safety", "prune")
"""Keys that one file of a folder can have."""

ENDINGS = (".yaml", ".yml")
MOST_BYTES = 4_000_000


def read(path: Path) -> Statement:
    """The statement of a folder, or of one file. Raises Rejected with every fault, CliError if there is nothing."""
    documents = {name: _parsed(name, content) for name, content in contents(path).items()}
    faults = [
        f"{name}:{line}: {text}" for name, document in documents.items() for line, text in schema.faults(document)
    ]
    if faults:
        raise Rejected(f"{path} is not valid.", faults)
    builder = _Builder(documents)
    statement = builder.statement({name: digest(content) for name, content in contents(path).items()})
    if builder.faults:
        raise Rejected(f"{path} is not valid.", builder.faults)
    return statement


def contents(path: Path) -> dict[str, bytes]:
    """The bytes of each file by its name in the folder, in order. Raises CliError."""
    if path.is_file():
        found = {path.name: path}
    elif path.is_dir():
        every = (each for each in path.rglob("*") if each.suffix in ENDINGS and each.is_file())
        found = {each.relative_to(path).as_posix(): each for each in every if not _is_hidden(each.relative_to(path))}
    else:
        raise CliError(f"There is no folder {path}.", "Name a folder with YAML files, such as licenses/.")
    return {name: found[name].read_bytes() for name in sorted(found)}


def _is_hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def digest(content: bytes) -> str:
    """Line ends do not count: git can change them."""
    return hashlib.sha256(content.replace(b"\r\n", b"\n")).hexdigest()


def _parsed(name: str, content: bytes) -> Any:
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    if len(content) > MOST_BYTES:
        raise Rejected(f"{name} is larger than {MOST_BYTES:,} bytes.", [])
    try:
        return YAML(typ="rt", pure=True).load(content.decode("utf-8"))
    except MarkedYAMLError as fault:
        line = fault.problem_mark.line + 1 if fault.problem_mark else 1
        raise Rejected(f"{name} is not YAML.", [f"{name}:{line}: {fault.problem}"]) from fault
    except (YAMLError, UnicodeDecodeError) as fault:
        raise Rejected(f"{name} is not YAML.", [f"{name}: {fault}"]) from fault


def _plain(value: Any) -> object:
    """A value without the marks of the YAML reader."""
    return value if isinstance(value, bool) else int(value) if isinstance(value, int) else str(value)


def _limit(text: Any) -> Limit:
    return Limit() if text is None else Limit.of(str(text))


class _Builder:
    """Makes entries of documents that fit the schema."""

    def __init__(self, documents: Mapping[str, Any]) -> None:
        self._documents = documents
        self.faults: list[str] = []
        self._sets: dict[str, tuple[str, ...]] = {}
        self._defaults: Mapping[str, Any] = {}

    def statement(self, digests: Mapping[str, str]) -> Statement:
        once = self._once()
        self._defaults = once.get("defaults", {})
        for name, document in self._documents.items():
            for key, apps in document.get("appSets", {}).items():
                if key in self._sets:
                    self._fault(
                        Place(name, schema.key_line(document["appSets"], key)), f"The app set {key!r} exists twice."
                    )
                self._sets[str(key)] = tuple(str(each) for each in apps)
        safety = once.get("safety", {})
        groups, profiles = tuple(self._groups()), tuple(self._profiles())
        self._check_twice(groups)
        for group in groups:
            self._check_products(group.group, group.products)
        for profile in profiles:
            self._check_products(profile.name, profile.products)
        return Statement(
            groups=groups,
            profiles=profiles,
            tests=tuple(self._tests()),
            removals=_limit(safety.get("removals", {}).get("hold", DEFAULT_REMOVALS)),
            additions=Limit.of(str(safety["additions"]["hold"]))
            if safety.get("additions", {}).get("hold")
            else Limit(),
            prune=bool(once.get("prune", False)),
            digests=digests,
        )

    def _fault(self, place: Place, text: str) -> None:
        self.faults.append(f"{place}: {text}")

    def _once(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        first: dict[str, str] = {}
        for name, document in self._documents.items():
            for key in ONCE:
                if key not in document:
                    continue
                if key in found:
                    self._fault(Place(name, schema.key_line(document, key)), f"{key} is in {first[key]} already.")
                found[key], first[key] = document[key], name
        return found

    def _items(self, key: str) -> Iterator[tuple[Place, Any]]:
        for name, document in self._documents.items():
            rows = document.get(key, ())
            for index, row in enumerate(rows):
                yield Place(name, schema.item_line(rows, index)), row

    def _groups(self) -> Iterator[GroupEntry]:
        for place, row in self._items("groups"):
            products = tuple(self._products(place.file, row.get("products", [])))
            engine = str(row.get("engine", ""))
            if engine not in ("", DIRECT) and products:
                self._fault(
                    place, f"{row['group']} has engine {engine}: this app assigns nothing there. Remove its products."
                )
            yield GroupEntry(
                group=str(row["group"]).strip(),
                place=place,
                id=str(row.get("id", "")).lower(),
                engine=engine,
                is_paused=row.get("state") == "paused",
                products=products,
                exclude=tuple(str(each) for each in row.get("exclude", ())),
                options=self._options(row),
            )

    def _options(self, row: Mapping[str, Any]) -> dict[str, object]:
        found: dict[str, object] = {}
        for source in (self._defaults, row):
            found |= {managed: source[name] for name, managed in OPTIONS.items() if name in source}
            keep = source.get("leave", {}).get("keepFor")
            if keep is not None:
                found[f.GRACE] = f"P{int(str(keep).removesuffix('d'))}D"
        return {name: str(value) if isinstance(value, str) else value for name, value in found.items()}

    def _products(self, file: str, rows: Any) -> Iterator[ProductEntry]:
        for index, row in enumerate(rows):
            place = Place(file, schema.item_line(rows, index))
            if isinstance(row, str):
                yield ProductEntry(str(row).strip(), (), place)
                continue
            ((name, settings),) = row.items()
            off = [each for one in (settings or {}).get("off", ()) for each in self._sets.get(str(one), (str(one),))]
            yield ProductEntry(str(name).strip(), tuple(dict.fromkeys(off)), place)

    def _profiles(self) -> Iterator[ProfileEntry]:
        seen: dict[str, Place] = {}
        for file, document in self._documents.items():
            for name, row in document.get("profiles", {}).items():
                place = Place(file, schema.key_line(document["profiles"], name))
                if name in seen:
                    self._fault(place, f"The profile {name} is in {seen[name]} already.")
                seen[name] = place
                yield ProfileEntry(
                    name=str(name),
                    place=place,
                    when={str(each): tuple(map(str, values)) for each, values in row.get("when", {}).items()},
                    groups=tuple(str(each).strip() for each in row.get("groups", ())),
                    products=tuple(self._products(file, row.get("products", []))),
                    options={key: _plain(row[key]) for key in PROFILE_OPTIONS if key in row},
                )

    def _tests(self) -> Iterator[PolicyTest]:
        for place, row in self._items("tests"):
            has, has_not = (tuple(str(each) for each in row.get(name, ())) for name in ("has", "hasNot"))
            if not has and not has_not:
                self._fault(place, f"The test of {row['user']} names no product. Add has or hasNot.")
            yield PolicyTest(str(row["user"]).strip(), has, has_not, place)

    def _check_twice(self, groups: tuple[GroupEntry, ...]) -> None:
        """Two entries for one group would each undo the other."""
        known: dict[str, Place] = {}
        for each in groups:
            for key in {each.group.casefold(), each.id} - {""}:
                if key in known:
                    self._fault(each.place, f"{each.group} is in {known[key]} already. Keep one entry for each group.")
                    break
                known[key] = each.place

    def _check_products(self, label: str, products: Sequence[ProductEntry]) -> None:
        names = [product.name.casefold() for product in products]
        twice = next((each for each in products if names.count(each.name.casefold()) > 1), None)
        if twice is not None:
            self._fault(twice.place, f"{label} lists {twice.name} twice.")
