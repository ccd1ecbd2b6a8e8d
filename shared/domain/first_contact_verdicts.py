"""Verdicts on the assumptions, as functions of the observations of a run, also of a recorded one."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from shared.domain.first_contact import Finding, Level, Observation, Verdict
from shared.domain.first_contact_assumptions import ASSUMPTIONS, Assumption, Tried
from shared.domain.first_contact_load import concurrency, rejection
from shared.domain.first_contact_observations import PERCENTAGE, RETRY_AFTER, UNITS

Observations = Mapping[str, Observation]

SECONDS = 60.0
"""A read that shows a write within this time is `seconds`."""


def findings(observed: Observations, level: Level) -> tuple[Finding, ...]:
    """One finding for each assumption."""
    return tuple(_finding(each, observed, level) for each in ASSUMPTIONS)


def _finding(assumption: Assumption, observed: Observations, level: Level) -> Finding:
    if assumption.tried not in TRIED[level]:
        return Finding(assumption.number, Verdict.NOT_TRIED)
    judge = JUDGES.get(assumption.number)
    clear = {step: seen for step, seen in observed.items() if "contended" not in seen.traits}
    position = judge(clear) if judge is not None else ""
    if position in assumption.assumed:
        return Finding(assumption.number, Verdict.AS_ASSUMED, position)
    if position in assumption.others:
        return Finding(assumption.number, Verdict.OTHERWISE, position)
    return Finding(assumption.number, Verdict.UNKNOWN)


TRIED: Mapping[Level, frozenset[Tried]] = {
    Level.READ_ONLY: frozenset({Tried.READ_ONLY, Tried.LATER}),
    Level.BASIC: frozenset({Tried.READ_ONLY, Tried.LATER, Tried.BASIC}),
    Level.LOAD: frozenset({Tried.READ_ONLY, Tried.LATER, Tried.LOAD}),
}
"""What each level tests. A load run does not repeat the writes of a basic one."""


def _trait(step: str, name: str) -> Callable[[Observations], str]:
    """The position is a trait of one successful step."""

    def judge(observed: Observations) -> str:
        seen = observed.get(step)
        return seen.traits.get(name, "") if seen is not None and seen.ok else ""

    return judge


def _answered(step: str, taken: str, rejected: str, text: str = "") -> Callable[[Observations], str]:
    """The position depends on 2xx or 400. `text`: words that the error text must have, or the answer is unclear."""

    def judge(observed: Observations) -> str:
        seen = observed.get(step)
        if seen is None:
            return ""
        if seen.ok:
            return taken
        return rejected if seen.status == 400 and text in seen.text.lower() else ""

    return judge


def _organization(observed: Observations) -> str:
    seen = observed.get("organization")
    if seen is None:
        return ""
    if seen.status == 403:
        return "denied"
    return {"there": "full", "absent": "minimal"}.get(seen.traits.get("country", ""), "") if seen.ok else ""


def _get_by_ids(observed: Observations) -> str:
    seen = observed.get("getByIds")
    if seen is None:
        return ""
    return "works" if seen.ok else "denied" if seen.status == 403 else ""


def _expired_link(observed: Observations) -> str:
    seen = observed.get("oldLink")
    if seen is None or seen.ok or seen.status not in (400, 404, 410):
        return ""
    named = f"{seen.status} {seen.code}"
    return named if named in EXPIRED else "other"


EXPIRED = frozenset(
    {
        "400 Request_UnsupportedQuery",
        "410 syncStateNotFound",
        "410 resyncRequired",
        "400 syncStateNotFound",
        "404 UnknownError",
        "400 Request_BadRequest",
    }
)


def _latest_members(observed: Observations) -> str:
    """Only if the enumerated link reports the same change: else the change is not visible yet."""
    enumerated, latest = observed.get("changesEnumerated"), observed.get("changesLatest")
    if enumerated is None or latest is None or not (enumerated.ok and latest.ok):
        return ""
    if latest.traits.get("change") == "reported":
        return "reported"
    return "never" if enumerated.traits.get("change") == "reported" else ""


def _resource_units(observed: Observations) -> str:
    seen = observed.get("deltaEnumerated")
    return ("there" if UNITS in seen.headers else "absent") if seen is not None and seen.ok else ""


def _percentage(observed: Observations) -> str:
    """That the header is missing shows nothing: it is sent near a limit."""
    return "sent" if any(PERCENTAGE in each.headers for each in observed.values()) else ""


def _retry_after(observed: Observations) -> str:
    throttled = [each for each in observed.values() if each.status == 429]
    forms = {each.headers.get(RETRY_AFTER, "absent") for each in throttled}
    return forms.pop() if len(forms) == 1 else ""


def _errors(observed: Observations) -> str:
    for step in ("users", "memberStates", "membersInError"):
        seen = observed.get(step)
        other = seen.traits.get("other", "") if seen is not None else ""
        if other:
            return {"Other": "documented"}.get(other, other)
    return ""


def _good(observed: Observations) -> str:
    found = {seen.traits["good"] for seen in observed.values() if "good" in seen.traits}
    return found.pop() if len(found) == 1 else ""


def _bad_id(observed: Observations) -> str:
    seen = observed.get("badId")
    if seen is None:
        return ""
    if seen.status == 404:
        return "notFound"
    if seen.status == 400:
        return "invalidIdentifier" if "identifier" in seen.text.lower() else "other"
    return ""


def _addresses(observed: Observations) -> str:
    seen = [observed.get("absoluteAddress"), observed.get("otherCase")]
    if any(each is None for each in seen):
        return ""
    if all(each is not None and each.ok for each in seen):
        return "accepted"
    return "rejected" if any(each is not None and each.status in (400, 404) for each in seen) else ""


def _eligibility(observed: Observations) -> str:
    seen = observed.get("roleEligibility")
    if seen is None:
        return ""
    return "works" if seen.ok else "noLicense" if seen.code == "AadPremiumLicenseRequired" else ""


def _processing(observed: Observations) -> str:
    """A failed group is seen only if a member has an error, so one that is seen decides."""
    steps = ("countFilter", "anyFilter", "licensedGroups")
    found = [observed[step].traits.get("processing", "") for step in steps if step in observed]
    return "failed" if "failed" in found else next(filter(None, found), "")


def _partial(observed: Observations) -> str:
    rejected, after = observed.get("partial"), observed.get("afterPartial")
    if rejected is None or after is None or rejected.status != 400 or not after.ok:
        return ""
    return {"absent": "nothing", "present": "additions"}.get(after.traits.get("license", ""), "")


def _remove_unknown(observed: Observations) -> str:
    """Where the product is not checked, Graph can still say that the user does not have the license."""
    seen = observed.get("removeUnknown")
    if seen is None:
        return ""
    if seen.ok:
        return "taken"
    if seen.status != 400:
        return ""
    return "rejected" if "valid company license" in seen.text.lower() else "taken"


def _lag(observed: Observations) -> str:
    """The slowest of the reads that were waited for."""
    waits = [observed[step] for step in ("visible", "gone", "changesEnumerated") if step in observed]
    if not waits or not all(each.ok for each in waits):
        return ""
    return "seconds" if all(each.seconds <= SECONDS for each in waits) else "minutes"


def _same_time(observed: Observations) -> str:
    before, after = observed.get("visible"), observed.get("again")
    if before is None or after is None:
        return ""
    return after.traits.get("time", "") if after.ok else ""


def _throttled_order(observed: Observations) -> str:
    """Only a write that was accepted behind a throttled one shows it: the others can all have exceeded the quota."""
    return "some" if any(seen.traits.get("order") == "some" for seen in observed.values()) else ""


JUDGES: Mapping[int, Callable[[Observations], str]] = {
    1: concurrency,
    2: rejection,
    4: _trait("exclusive", "exclusion"),
    3: _partial,
    6: _remove_unknown,
    7: _trait("subscribedSkus", "lockedOut"),
    8: _organization,
    9: _get_by_ids,
    11: _latest_members,
    12: _answered("latestFilter", "accepted", "rejected"),
    13: _expired_link,
    14: _trait("deltaEnumerated", "members"),
    15: _resource_units,
    16: _percentage,
    17: _retry_after,
    18: _throttled_order,
    21: _answered("groupUnknownSku", "accepted", "rejected"),
    23: _processing,
    24: _answered("licenseErrorsFilter", "works", "rejected"),
    25: lambda observed: (
        _answered("memberStates", "", "rejected")(observed) or _trait("memberStates", "states")(observed)
    ),
    26: _lag,
    29: _errors,
    30: _trait("subscribedSkus", "ids"),
    31: _answered("locationUk", "any", "isoOnly"),
    34: _bad_id,
    35: _answered("laterDependency", "accepted", "rejected"),
    36: _addresses,
    41: _answered("unknownPlan", "ignored", "rejected"),
    42: _same_time,
    43: _good,
    44: _answered("countFilter", "works", "rejected"),
    45: _answered("anyFilter", "works", "rejected"),
    46: _answered("usersByProduct", "works", "rejected"),
    47: _answered("search", "works", "rejected"),
    48: _eligibility,
    49: _trait("roles", "isPrivileged"),
    52: _trait("level", "quota"),
}
