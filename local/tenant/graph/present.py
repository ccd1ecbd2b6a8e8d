"""The user or group that a path names, or the error of Graph for one that is not there."""

from __future__ import annotations

import re

from local.tenant.call import bad_request, not_found
from local.tenant.directory.model import Group, User
from local.tenant.tenant import Tenant

_GUID = re.compile(r"^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$")


def present_user(tenant: Tenant, key: str, as_of: float | None) -> User:
    """The user with this id or userPrincipalName, not in the recycle bin at that moment; 404 otherwise."""
    user = tenant.directory.find_user(key)
    if user is None:
        raise not_found(key)
    deleted = user.deleted if as_of is None else tenant.directory.user_state(user, as_of).deleted
    if deleted is not None:
        raise not_found(key)
    return user


def present_group(tenant: Tenant, key: str) -> Group:
    """The group with this id. 400 for a text that is no GUID (reported by users), 404 for one that is not there."""
    if tenant.settings.group_id_shape == "invalid" and not _GUID.match(key):
        raise bad_request(f"Invalid object identifier '{key}'.")
    group = tenant.directory.groups.get(key.lower())
    if group is None or group.deleted is not None:
        raise not_found(key)
    return group
