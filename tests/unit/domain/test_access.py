"""What roles allow, and the setting that says what directory roles stand for."""

from __future__ import annotations

import pytest

from shared.domain.access import (
    APP_ROLES,
    DEFAULT_DIRECTORY_ROLES,
    DIRECTORY_ROLE_IDS,
    ROLES,
    Access,
    access_of,
    directory_roles,
    who_allows,
)

IDS = DIRECTORY_ROLE_IDS


def test_the_default_names_six_roles_and_nothing_for_readers_of_the_directory_and_reports() -> None:
    found = directory_roles(DEFAULT_DIRECTORY_ROLES)
    assert found.keys() == {IDS[name] for name in IDS} - {IDS["Directory Readers"], IDS["Reports Reader"]}
    assert found[IDS["License Administrator"]] == {"Licensing.Write", "Licensing.Approve"}


def test_the_role_of_the_first_version_does_whatever_it_could_and_no_other_does_all() -> None:
    assert [role for role, access in ROLES.items() if access == set(Access)] == ["Licensing.ReadWrite"]
    assert all(Access.ANY in access for access in ROLES.values())


def test_several_roles_add_up_and_unknown_ones_add_nothing() -> None:
    given = directory_roles("Global Reader=Licensing.Read;11111111-2222-4333-8444-555555555555=Groups.Write")
    both = access_of(["Licensing.Configure", "Owner"], ["11111111-2222-4333-8444-555555555555", "x"], given)
    assert both == ROLES["Licensing.Configure"] | ROLES["Groups.Write"]
    assert access_of(["Groups.Write"], [], given) == frozenset(), "it is no app role"


def test_none_switches_directory_roles_off() -> None:
    assert directory_roles(" None ") == {}


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("Globl Reader=Licensing.Read", "did you mean 'Global Reader'"),
        ("Global Reader=Licensing.Reed", "did you mean 'Licensing.Read'"),
        ("Global Reader=Licensing.Read;Global Reader=Licensing.Write", "twice"),
        ("Global Reader", "must be"),
        ("Global Reader=", "must be"),
        (";", "none"),
    ],
)
def test_a_fault_of_the_setting_is_named_with_what_is_allowed(text: str, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        directory_roles(text)


def test_who_allows_an_access_is_named_by_app_roles_and_directory_roles() -> None:
    given = directory_roles(DEFAULT_DIRECTORY_ROLES)
    assert who_allows(Access.CONFIGURE, given) == (
        ("Licensing.Configure", "Licensing.ReadWrite"),
        ("Global Administrator",),
    )
    assert set(who_allows(Access.ANY, given)[0]) == set(APP_ROLES)
