"""Permits that permit nothing."""

from __future__ import annotations

from datetime import timedelta

from shared.domain.permit import Permit
from shared.domain.removals import valid_permits
from tests.support.builders import E3, FROM_A, NOW, USER, context, owned, permit


def test_a_void_permit_in_the_place_of_one_that_permits_the_removal_permits_nothing() -> None:
    license = owned(at=NOW - timedelta(days=365))
    standing = permit(E3)
    assert valid_permits(USER, E3, license, context(permits=(standing,))) == [standing]
    void = Permit.void(standing.user_id, standing.sku_id, standing.source, "cancelled")
    assert valid_permits(USER, E3, license, context(permits=(void,))) == []
    assert (void.user_id, void.sku_id, void.source) == (USER, E3, FROM_A)
    assert (void.given_by, void.by_approval) == ("cancelled", False)
