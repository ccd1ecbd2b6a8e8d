"""Role definition ids: each is in a variable that is named after its role, and is that role's id."""

from __future__ import annotations

import re
from collections.abc import Iterator

from infra.check.nodes import File, Text
from infra.check.symbols import walk

ROLES = {
    "monitoringMetricsPublisher": "3913510d-42f4-4e42-8a64-420c390055eb",
    "serviceBusDataOwner": "090c5cfd-751d-490a-894a-3ce6f1109419",
    "serviceBusDataReceiver": "4f6d3b9b-027b-4f4c-9142-0e5a2a2247e0",
    "serviceBusDataSender": "69a216fc-b8fb-44d8-bc22-1f3c2cd27a39",
    "storageBlobDataContributor": "ba92f5b4-2d11-453d-a403-e96b0029c9fe",
    "storageBlobDataOwner": "b7e6dc6d-f1e8-4753-8033-0f276bb0955b",
    "storageQueueDataContributor": "974c5e8b-45b9-4653-ba55-5f855dd0fb88",
    "storageTableDataContributor": "0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3",
}
"""learn.microsoft.com/azure/role-based-access-control/built-in-roles"""

_GUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


def role_faults(file: File) -> Iterator[tuple[int, str]]:
    """Line and text of each fault."""
    for each in file.declarations:
        if each.value is None:
            continue
        texts = [found for found in walk(each.value) if isinstance(found, Text)]
        guids = [found for found in texts if _GUID.fullmatch(found.constant or "")]
        for found in guids:
            if each.kind != "var" or found is not each.value:
                yield found.line, f"{found.constant} must be in a variable of its own, named after the role"
            elif each.name not in ROLES:
                yield found.line, f"{each.name} is no role that is known here: add it to infra/check/roles.py"
            elif ROLES[each.name] != found.constant:
                yield found.line, f"{found.constant} is not the id of {each.name}, which is {ROLES[each.name]}"
