"""The words of the page of a person: where a license comes from, and the history in sentences."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import chain

from functions.web.pages.labels import MEMBER_WORDS, changes, found_by, who
from shared.domain.grant import Source, SourceKind
from shared.domain.ids import GroupId
from shared.domain.initiator import InitiatorKind
from shared.domain.member_status import MemberState
from shared.domain.read_models import AuditEntry, MemberRow
from shared.handlers.views.queries import LicenseOrigin, UserLicense

M365 = "https://admin.microsoft.com/#/users/:/UserDetails/{}/LicensesAndApps"
ENTRA = "https://entra.microsoft.com/#view/Microsoft_AAD_UsersAndTenants/UserProfileMenuBlade/~/Licenses/userId/{}"
ENTRA_GROUP = "https://entra.microsoft.com/#view/Microsoft_AAD_IAM/GroupDetailsMenuBlade/~/Licenses/groupId/{}"
"""Pages of Microsoft's portals where an unmanaged license is changed. Their addresses are not documented."""

Groups = Mapping[GroupId, str]
Products = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Event:
    """One sentence of a person's history. `link`: where to read on, empty for nowhere."""

    at: datetime
    text: str
    link: str = ""


def source_words(license: UserLicense, groups: Groups) -> str:
    """Where a license comes from: the groups, HR, a request, or outside the app."""
    state = license.state
    if license.origin is LicenseOrigin.DIRECT:
        return "assigned directly, outside this app"
    if state.assigned_by_group is not None:
        return f"native group licensing of {groups.get(state.assigned_by_group) or state.assigned_by_group}"
    return ", ".join(_source(each, groups) for each in license.through) or "this app"


def _source(source: Source, groups: Groups) -> str:
    match source.claimed.kind:
        case SourceKind.GROUP:
            return groups.get(GroupId(source.id)) or source.id
        case SourceKind.LIST:
            return "a request for named users"
        case SourceKind.HR:
            return f"HR profile {source.id}"
        case SourceKind.BRIDGE:
            return f"until native licensing of {groups.get(GroupId(source.id)) or source.id} assigns its replacement"
        case kind:
            return f"{kind} {source.id}".strip()


def events(entries: Iterable[AuditEntry], rows: Iterable[MemberRow], groups: Groups, products: Products) -> list[Event]:
    """The history, newest first: what was done, and since when the person has the present state in each group."""
    done = (_done(entry, groups, products) for entry in entries)
    states = (_state(row, groups) for row in rows)
    return sorted(chain(done, states), key=lambda event: event.at, reverse=True)


def _done(entry: AuditEntry, groups: Groups, products: Products) -> Event:
    link = f"/operations/{entry.operation_id}" if entry.operation_id else ""
    by = f"{who(entry.initiator)}: " if entry.initiator.kind in (InitiatorKind.USER, InitiatorKind.APP) else ""
    group = groups.get(entry.group_id, entry.group_id) if entry.group_id else ""
    named = ", ".join(products.get(each, each) for each in entry.detail.split())
    match entry.activity:
        case "Change user license" | "Adopt user license":
            changed = "; ".join(changes(entry.before, entry.after, products)) or "license unchanged"
            where = f" for {group}" if group else ""
            reason = f" ({found_by(entry.detail)})" if entry.detail else ""
            text = f"{changed}{where}{reason}"
            text = text if entry.result == "success" else f"could not be done: {text}"
        case "Keep user license":
            text = f"decided that {named} stays"
        case "Remove user license now":
            text = f"decided to remove {named} now"
        case "Add member to group":
            text = f"joined {group} by an HR event"
        case "Remove member from group":
            text = f"left {group} by an HR event"
        case activity:
            text = ": ".join(each for each in (activity, entry.detail) if each)
    text = by + text
    return Event(entry.at, text[:1].upper() + text[1:], link)


def _state(row: MemberRow, groups: Groups) -> Event:
    group = groups.get(row.group_id) or row.group_id
    state = MEMBER_WORDS[row.state]
    if row.left:
        text = f"Left {group}" + ("" if row.state is MemberState.REMOVED else f": {state.lower()}")
    else:
        text = f"{group}: {state.lower()}"
    if any(note.split(" ")[0] in ("held", "pendingApproval") for note in row.notes):
        return Event(row.since or row.updated_at, f"{text}, held: an approval waits", "/approvals")
    return Event(row.since or row.updated_at, text, f"/groups/{row.group_id}")
