"""How many members of a group are in which state, for the whole group and for each product.

The counts are kept as numbers by key, so that a change of a member is a subtraction and an addition. Each member counts
once at most for each key.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from shared.domain.assignment import Engine
from shared.domain.directory import LicenseError
from shared.domain.ids import SkuId
from shared.domain.member_status import MemberState
from shared.domain.outcomes import Problem
from shared.domain.read_models import MemberRow

MEMBER = "member"
STATE, ASSIGNED, WAITING, ERROR, CAUSE = "state", "assigned", "waiting", "error", "cause"
WHOLE_USER = ""
"""In place of a product, for an error that concerns all of a user's products."""

_WITHOUT_PRODUCTS = (MemberState.REMOVED, MemberState.DISABLED, MemberState.UNREACHABLE)


@dataclass(frozen=True, slots=True)
class ProductCounts:
    """Members of a group by what they have of one product. A member can be in several of them."""

    assigned: int = 0
    waiting: int = 0
    errors: int = 0

    def __add__(self, other: ProductCounts) -> ProductCounts:
        return ProductCounts(self.assigned + other.assigned, self.waiting + other.waiting, self.errors + other.errors)


@dataclass(frozen=True, slots=True)
class MemberCounts:
    """The recorded members of a group. `members`: those who have not left it. `errors`: members with an error that
    concerns all of their products; such a member is not counted again for a product. `causes`: members in error by
    LicenseError, without those who only wait."""

    members: int = 0
    states: Mapping[str, int] = field(default_factory=dict)
    products: Mapping[SkuId, ProductCounts] = field(default_factory=dict)
    errors: int = 0
    causes: Mapping[str, int] = field(default_factory=dict)

    def of(self, sku_id: SkuId) -> ProductCounts:
        """The counts of a product, with the errors that concern all products."""
        return self.products.get(sku_id, ProductCounts()) + ProductCounts(errors=self.errors)


def keys_of(row: MemberRow | None) -> frozenset[str]:
    """The keys under which a member counts; none for a member without a row."""
    if row is None:
        return frozenset()
    keys = {f"{STATE}:{row.state}"}
    if row.state is not MemberState.REMOVED and not row.left:
        keys.add(MEMBER)
    if row.state not in _WITHOUT_PRODUCTS:
        keys |= {f"{ASSIGNED}:{sku_id}" for sku_id in row.sku_ids}
    keys |= {f"{WAITING}:{problem.sku_id}" for problem in row.problems if _is_wait(row, problem)}
    wrong = {problem.sku_id or WHOLE_USER for problem in row.problems if not _is_wait(row, problem)}
    keys |= {f"{ERROR}:{of}" for of in ([WHOLE_USER] if WHOLE_USER in wrong else wrong)}
    if row.state.needs_a_person:
        keys |= {f"{CAUSE}:{problem.error}" for problem in row.problems if not _is_wait(row, problem)}
    return frozenset(keys)


def _is_wait(row: MemberRow, problem: Problem) -> bool:
    """Microsoft's licensing has no queue, so its members without a license have an error."""
    return row.engine is Engine.DIRECT and problem.error is LicenseError.COUNT_VIOLATION and problem.sku_id is not None


def counted(rows: Iterable[MemberRow]) -> Counter[str]:
    """The numbers by key of these members."""
    return Counter(key for row in rows for key in keys_of(row))


def changed(numbers: Mapping[str, int], before: MemberRow | None, after: MemberRow | None) -> Counter[str]:
    """The numbers after a member has changed. Numbers of zero are left out."""
    found = Counter(numbers)
    found.update(keys_of(after))
    found.subtract(keys_of(before))
    return Counter({key: number for key, number in found.items() if number})


def counts_of(numbers: Mapping[str, int]) -> MemberCounts:
    """The counts that people read, from the numbers by key."""
    states: dict[str, int] = {}
    causes: dict[str, int] = {}
    products: dict[SkuId, ProductCounts] = {}
    errors = 0
    for key, number in numbers.items():
        kind, _, of = key.partition(":")
        if kind == STATE:
            states[of] = number
        elif kind == CAUSE:
            causes[of] = number
        elif kind == ERROR and of == WHOLE_USER:
            errors = number
        elif kind != MEMBER:
            sku_id = SkuId(of)
            products[sku_id] = products.get(sku_id, ProductCounts()) + _one(kind, number)
    return MemberCounts(numbers.get(MEMBER, 0), states, products, errors, causes)


def _one(kind: str, number: int) -> ProductCounts:
    if kind == ASSIGNED:
        return ProductCounts(assigned=number)
    return ProductCounts(waiting=number) if kind == WAITING else ProductCounts(errors=number)
