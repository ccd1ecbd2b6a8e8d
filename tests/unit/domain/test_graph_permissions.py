from __future__ import annotations

from datetime import UTC, datetime

from shared.domain.graph_permissions import (
    OPTIONAL,
    PERMISSIONS,
    Feature,
    GraphToken,
    MissingPermission,
    compared,
)
from tests.support.project import ROOT

ALWAYS = frozenset(permission for feature, permission in PERMISSIONS if feature is Feature.ALWAYS)
ENDS = datetime(2026, 11, 30, 12, tzinfo=UTC)


def test_the_table_is_the_one_of_the_script() -> None:
    lines = (ROOT / "infra" / "scripts" / "permissions.tsv").read_text().splitlines()
    rows = [tuple(line.split("\t")[:2]) for line in lines if not line.startswith("#")]
    assert rows == [(str(feature), permission) for feature, permission in PERMISSIONS]


def test_a_token_with_what_the_features_need_is_complete() -> None:
    found = compared(GraphToken(ALWAYS | {"GroupMember.ReadWrite.All"}, ENDS), [Feature.ONBOARDING])
    assert found.is_complete
    assert (found.missing, found.excess, found.expires_at) == ((), (), ENDS)


def test_a_missing_permission_is_named_with_the_feature_that_needs_it() -> None:
    found = compared(GraphToken(ALWAYS - {"Group.Read.All"}), [Feature.ONBOARDING])
    assert found.missing == (
        MissingPermission("Group.Read.All", Feature.ALWAYS),
        MissingPermission("GroupMember.ReadWrite.All", Feature.ONBOARDING),
    )
    assert not found.is_complete


def test_permissions_of_a_feature_that_is_off_and_unknown_ones_are_excess() -> None:
    found = compared(GraphToken(ALWAYS | {"RoleManagement.Read.Directory", "Mail.Read"}), [])
    assert found.excess == ("Mail.Read", "RoleManagement.Read.Directory")
    assert found.is_complete


def test_permissions_of_features_without_a_setting_are_neither_missing_nor_excess() -> None:
    optional = {permission for feature, permission in PERMISSIONS if feature in OPTIONAL}
    assert optional
    assert compared(GraphToken(ALWAYS | optional), []).excess == ()
    assert compared(GraphToken(ALWAYS), []).missing == ()


def test_without_a_token_or_its_permissions_nothing_is_claimed() -> None:
    assert not compared(None, []).is_known
    found = compared(GraphToken(None, ENDS), [Feature.ONBOARDING])
    assert (found.is_known, found.missing, found.expires_at) == (False, (), ENDS)
    assert not found.is_complete
