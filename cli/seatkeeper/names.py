"""Names in place of IDs: groups, users, products and apps. An ambiguous name lists the candidates."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from seatkeeper import fields as f
from seatkeeper import routes
from seatkeeper.errors import CliError

if TYPE_CHECKING:
    from seatkeeper.client import Client

_GUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
MOST_SHOWN = 10

Row = Mapping[str, Any]


def is_guid(text: str) -> bool:
    return bool(_GUID.fullmatch(text.strip().lower()))


def folded(text: str) -> str:
    """A name without case, blanks and punctuation, so that `Visio Plan 2` and `VISIO_PLAN_2` are the same."""
    return "".join(each for each in text.casefold() if each.isalnum())


def suggestion(text: str, known: Iterable[str]) -> str:
    """The known name that is closest, as the end of a message; empty if none is close."""
    by_folded = {folded(each): each for each in known}
    close = difflib.get_close_matches(folded(text), list(by_folded), 1, 0.7)
    return f" Did you mean {by_folded[close[0]]}?" if close else ""


class Ambiguous(CliError):
    """A name that several objects have."""

    def __init__(self, kind: str, text: str, candidates: Sequence[str]) -> None:
        shown = [f"  {each}" for each in candidates[:MOST_SHOWN]]
        more = len(candidates) - len(shown)
        lines = [f"{len(candidates)} {kind}s match {text!r}:", *shown, *([f"  and {more} more"] if more > 0 else [])]
        super().__init__("\n".join(lines), f"Use the ID of the {kind}.", "Ambiguous")
        self.candidates = tuple(candidates)


class UnknownName(CliError):
    """A name that nothing has."""

    def __init__(self, kind: str, text: str, more: str = "") -> None:
        hint = f"Find it: seatkeeper {kind} search WORDS" if kind in ("group", "user") and not more else ""
        super().__init__(f"Unknown {kind} {text!r}.{more}", hint, "UnknownName")


def _matching(rows: Sequence[Row], name: str, text: str) -> list[Row]:
    """Rows of this name; those with the same case and punctuation come first."""
    same = [each for each in rows if str(each[name]).casefold() == text.casefold()]
    return same or [each for each in rows if folded(str(each[name])) == folded(text)]


class Names:
    """Resolves names for one call of the program. Lists are read once."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._group_names: dict[str, str] = {}
        self._searched: dict[str, list[Row]] = {}

    @cached_property
    def products(self) -> list[Row]:
        """The products of the tenant, each with its friendly name."""
        return list(self._client.all(routes.PRODUCTS))

    @cached_property
    def skus(self) -> dict[str, Row]:
        """The products of the tenant with their apps, by ID."""
        return {each[f.SKU_ID]: each for each in self._client.all(routes.SKUS)}

    @cached_property
    def managed(self) -> list[Row]:
        """The groups that assign licenses, by this app or by Microsoft."""
        return list(self._client.all(routes.GROUPS))

    @property
    def direct(self) -> list[Row]:
        """The groups whose licenses this app assigns."""
        return [each for each in self.managed if each[f.ENGINE] == f.DIRECT]

    @property
    def native(self) -> list[Row]:
        """The groups that Microsoft licenses, as this app has read them."""
        return [each for each in self.managed if each[f.ENGINE] != f.DIRECT and each[f.ASSIGNED_SKUS]]

    @cached_property
    def _labels(self) -> dict[str, str]:
        return {each[f.SKU_ID]: each[f.PART_NUMBER] for each in self.products}

    def product_label(self, sku_id: str | None) -> str:
        """The part number of a product; its ID if the tenant does not have it."""
        return self._labels.get(sku_id or "", sku_id or "")

    def group_label(self, group_id: str) -> str:
        """The name of a group if it is known."""
        known = {each[f.ID]: each[f.DISPLAY_NAME] for each in self.managed} | self._group_names
        return known.get(group_id) or group_id

    def app_label(self, sku_id: str, plan_id: str) -> str:
        """The name of an app of a product."""
        plans = self.skus.get(sku_id, {}).get(f.SERVICE_PLANS, ())
        return next((each[f.PLAN_NAME] for each in plans if each[f.PLAN_ID] == plan_id), plan_id)

    def group(self, text: str) -> str:
        """The ID of a group. Raises Ambiguous, UnknownName."""
        return str(self.groups_named(text, only=True)[0][f.ID])

    def groups_named(self, text: str, *, only: bool = False) -> list[Row]:
        """All groups with exactly this name or ID. With `only`, it must be one."""
        text = text.strip()
        if is_guid(text):
            if only:
                return [{f.ID: text.lower()}]
            found = [each for each in self.find_groups(text) if each[f.ID] == text.lower()]
        else:
            found = [each for each in self.find_groups(text) if each[f.DISPLAY_NAME].casefold() == text.casefold()]
        known = [each for each in self.managed if text.casefold() in (each[f.ID], each[f.DISPLAY_NAME].casefold())]
        found += [each for each in known if each[f.ID] not in {other[f.ID] for other in found}]
        self._group_names |= {each[f.ID]: each[f.DISPLAY_NAME] for each in found}
        if only and not found:
            near = [each[f.DISPLAY_NAME] for each in (*self.find_groups(text), *self.managed)]
            raise UnknownName("group", text, suggestion(text, near))
        if only and len(found) > 1:
            raise Ambiguous("group", text, [f"{each[f.ID]}  {each[f.DISPLAY_NAME]}" for each in found])
        return found

    def find_groups(self, text: str) -> list[Row]:
        """Groups of the directory by words of their name, or by ID. A text is searched once."""
        key = text.strip()[:120]
        if key not in self._searched:
            self._searched[key] = self._search(key)
        return self._searched[key]

    def search_together(self, texts: Iterable[str]) -> None:
        """Search for many groups before they are resolved one by one."""
        keys = dict.fromkeys(text.strip()[:120] for text in texts)
        wanted = [key for key in keys if key not in self._searched]
        from seatkeeper.client import together  # here, because httpx slows down every `--help`

        self._searched |= dict(zip(wanted, together(self._search, wanted), strict=True))

    def _search(self, key: str) -> list[Row]:
        return list(self._client.ask(routes.FIND_GROUPS, body={f.SEARCH: key})[f.VALUE])

    def user(self, text: str) -> str:
        """The ID of a user by ID, sign-in name, mail, employee ID or full name. Raises Ambiguous, UnknownName."""
        text = text.strip()
        if is_guid(text):
            return text.lower()
        people = list(self._client.ask(routes.FIND_USERS, body={f.SEARCH: text[:120]})[f.VALUE])
        for identifiers in ((f.UPN,), (f.MAIL, f.EMPLOYEE_ID), (f.DISPLAY_NAME,)):
            exact = [
                each
                for each in people
                if text.casefold() in {str(each.get(name) or "").casefold() for name in identifiers}
            ]
            if exact:
                break
        if not exact:
            raise UnknownName("user", text, suggestion(text, [each[f.UPN] for each in people]))
        if len(exact) > 1:
            raise Ambiguous("user", text, [f"{each[f.ID]}  {each[f.UPN]}  {each[f.DISPLAY_NAME]}" for each in exact])
        return str(exact[0][f.ID])

    def sign_in_name(self, row: Row) -> str:
        """The sign-in name of a user in an answer that can lack it; the ID if the directory does not know it."""
        user_id = str(row[f.ID])
        if f.UPN in row:
            return str(row[f.UPN] or user_id)
        found = self._client.ask(routes.FIND_USERS, body={f.SEARCH: user_id})[f.VALUE]
        return next((str(each[f.UPN]) for each in found if each[f.ID] == user_id), user_id)

    def product(self, text: str) -> str:
        """The SKU ID of a product by ID, part number or friendly name. Raises Ambiguous, UnknownName."""
        text = text.strip()
        if is_guid(text):
            return text.lower()
        for exact in (_matching(self.products, name, text) for name in (f.PART_NUMBER, f.DISPLAY_NAME)):
            if len(exact) > 1:
                lines = [f"{each[f.SKU_ID]}  {each[f.PART_NUMBER]}  {each[f.DISPLAY_NAME]}" for each in exact]
                raise Ambiguous("product", text, lines)
            if exact:
                return str(exact[0][f.SKU_ID])
        known = [str(each[name]) for each in self.products for name in (f.PART_NUMBER, f.DISPLAY_NAME)]
        raise UnknownName("product", text, suggestion(text, known))

    def app(self, sku_id: str, text: str) -> str:
        """The service plan ID of an app of a product, by ID or name. Raises UnknownName."""
        text = text.strip()
        plans = self.skus.get(sku_id, {}).get(f.SERVICE_PLANS, ())
        exact = [each for each in plans if each[f.PLAN_ID] == text.lower()] or _matching(plans, f.PLAN_NAME, text)
        if len(exact) > 1:
            lines = [f"{each[f.PLAN_ID]}  {each[f.PLAN_NAME]}" for each in exact]
            raise Ambiguous("app", text, lines)
        if exact:
            return str(exact[0][f.PLAN_ID])
        if is_guid(text):
            return text.lower()
        near = suggestion(text, [each[f.PLAN_NAME] for each in plans])
        raise UnknownName(f"app of {self.product_label(sku_id)}", text, near)
