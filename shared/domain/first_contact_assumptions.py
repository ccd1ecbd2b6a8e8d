"""The assumptions about Graph and Azure that the first-contact check tests, and what follows if one is wrong.

docs/reference/first-contact.md is the same list for people. Numbers are stable: a recording names an assumption by its
number. `positions`: every behavior that can be recognized, the assumed ones first.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Tried(StrEnum):
    """What tests an assumption: a level of the check, the script from outside, a later run, or nothing yet."""

    READ_ONLY = "readOnly"
    BASIC = "basic"
    LOAD = "load"
    OUTSIDE = "outside"
    LATER = "later"
    NOTHING = "nothing"


@dataclass(frozen=True, slots=True)
class Assumption:
    """`assumed`: the positions for which the defaults are made. `otherwise`: the consequence of any other position."""

    number: int
    question: str
    tried: Tried
    assumed: tuple[str, ...]
    others: tuple[str, ...] = ()
    otherwise: str = ""


R, B, W, X, L, N = Tried.READ_ONLY, Tried.BASIC, Tried.LOAD, Tried.OUTSIDE, Tried.LATER, Tried.NOTHING
HANDLED = "The app handles this; no setting needs to change."
SLOWER = "The app uses another request, which takes longer; no setting needs to change."

ASSUMPTIONS: tuple[Assumption, ...] = (
    Assumption(
        1,
        "Are 20 license writes at once accepted?",
        W,
        ("accepted",),
        ("some", "one"),
        "Nothing to set: the app sends fewer writes at once. Large groups take longer.",
    ),
    Assumption(
        2,
        "Which status and code has a write that is rejected because of another one?",
        W,
        ("409 Directory_ConcurrencyViolation",),
        (
            "400 Directory_ConcurrencyViolation",
            "400 Request_BadRequest",
            "503 Directory_ConcurrencyViolation",
            "400 Request_ThrottledTemporarily",
        ),
        HANDLED,
    ),
    Assumption(3, "Is a rejected call partly carried out?", B, ("nothing",), ("additions",), HANDLED),
    Assumption(
        4,
        "How does Graph name two plans that exclude each other?",
        W,
        ("mutuallyExclusive",),
        ("conflictsWith", "withoutBlank", "conflictingPairs"),
        HANDLED,
    ),
    Assumption(5, "What does removing an inherited license do?", N, ("rejected",), ("ignored",), HANDLED),
    Assumption(
        6, "Is the removal of a product that the tenant does not have rejected?", B, ("rejected",), ("taken",), HANDLED
    ),
    Assumption(7, "Do products show `prepaidUnits.lockedOut`?", R, ("there",), ("absent",), HANDLED),
    Assumption(
        8,
        "Does `/organization` show the country?",
        R,
        ("full",),
        ("minimal", "denied"),
        "Set usage locations in the directory or in HR events: the app does not know the tenant's country.",
    ),
    Assumption(9, "What does `getByIds` answer without Directory.Read.All?", R, ("denied",), ("works",), HANDLED),
    Assumption(10, "When does a token have a new permission?", L, ("aboutADay",), ("atOnce",)),
    Assumption(
        11,
        "Do links from `$deltatoken=latest` report membership changes?",
        B,
        ("reported",),
        ("never",),
        "The app creates delta tokens by enumeration, so no setting needs to change.",
    ),
    Assumption(12, "Can `$deltatoken=latest` have a `$filter`?", R, ("accepted",), ("rejected",), HANDLED),
    Assumption(
        13,
        "How is an expired delta link rejected?",
        L,
        ("400 Request_UnsupportedQuery",),
        (
            "410 syncStateNotFound",
            "410 resyncRequired",
            "400 syncStateNotFound",
            "404 UnknownError",
            "400 Request_BadRequest",
            "other",
        ),
        HANDLED,
    ),
    Assumption(14, "Does delta report a change more than once?", R, ("once", "repeated")),
    Assumption(15, "Do delta answers show `x-ms-resource-unit`?", R, ("absent",), ("there",), HANDLED),
    Assumption(16, "Does Graph send `x-ms-throttle-limit-percentage`?", R, ("neverSent",), ("sent",), HANDLED),
    Assumption(17, "Which form has `Retry-After`?", R, ("seconds",), ("decimal", "date", "absent"), HANDLED),
    Assumption(18, "Does throttling reject some items of a batch, or all that follow?", W, ("some",)),
    Assumption(19, "What does adding 20 members with one request cost?", N, ("each",)),
    Assumption(20, "Does Graph lose group license changes that overlap?", N, ("lost",), ("serial",)),
    Assumption(21, "Does a group reject an unknown product?", B, ("rejected",), ("accepted",), HANDLED),
    Assumption(22, "Does a reprocess return the reason of the error?", N, ("reason",), ("accepted",)),
    Assumption(23, "Which form has `licenseProcessingState`?", R, ("object",), ("text", "failed", "other"), HANDLED),
    Assumption(24, "Does the filter `hasMembersWithLicenseErrors` work?", R, ("rejected",), ("works",), HANDLED),
    Assumption(
        25,
        "Do members of a group show `licenseAssignmentStates`?",
        R,
        ("there",),
        ("null", "absent", "rejected"),
        SLOWER,
    ),
    Assumption(
        26,
        "How soon do reads show a write?",
        B,
        ("seconds",),
        ("minutes",),
        "Nothing to set: removals wait for two reads that agree. Expect results minutes later.",
    ),
    Assumption(27, "Which form has `@removed` in a notification?", N, ("both",)),
    Assumption(28, "Which plans exclude each other?", N, ("since2023",), ("page2022",)),
    Assumption(29, "Which names do license errors have?", R, ("documented",), ("Others", "Unknown", "new"), HANDLED),
    Assumption(30, "Are IDs in lower case?", R, ("lower",), ("mixed",), HANDLED),
    Assumption(
        31,
        "Which country codes does `usageLocation` accept?",
        B,
        ("isoOnly",),
        ("any",),
        "Nothing to set: the app sends ISO codes only.",
    ),
    Assumption(32, "How is a subscription over the quota rejected?", N, ("403",)),
    Assumption(33, "Is a subscription that is too long shortened?", N, ("shortened",)),
    Assumption(
        34, "How is a group ID that is no GUID rejected?", R, ("invalidIdentifier",), ("notFound", "other"), HANDLED
    ),
    Assumption(35, "Is a `dependsOn` that names a later item rejected?", R, ("rejected",), ("accepted",), HANDLED),
    Assumption(36, "Are absolute addresses and other letter case accepted?", R, ("accepted",), ("rejected",), HANDLED),
    Assumption(37, "Does App Service authentication guard every path on Flex Consumption?", X, ("guarded",)),
    Assumption(38, "Do timers continue after a deployment on Flex Consumption?", L, ("continue",)),
    Assumption(39, "Is the app at `{name}.azurewebsites.net`?", X, ("default",)),
    Assumption(40, "Can a Groups Administrator assign licenses to groups?", N, ("yes",)),
    Assumption(
        41,
        "Is a disabled plan that the product does not have rejected?",
        B,
        ("rejected",),
        ("ignored",),
        HANDLED,
    ),
    Assumption(
        42,
        "Does assigning the same license again change its time?",
        B,
        ("moves",),
        ("keeps",),
        HANDLED,
    ),
    Assumption(43, "Which error has a license without an error?", R, ("none",), ("null",), HANDLED),
    Assumption(44, "Can groups be filtered by the number of their licenses?", R, ("works",), ("rejected",), SLOWER),
    Assumption(45, "Can groups be filtered by having licenses?", R, ("works",), ("rejected",), SLOWER),
    Assumption(46, "Can users be filtered by product?", R, ("works",), ("rejected",), SLOWER),
    Assumption(
        47,
        "Is `$search` on groups offered?",
        R,
        ("works",),
        ("rejected",),
        "Search finds names by their beginning only.",
    ),
    Assumption(
        48,
        "Can eligible role assignments be read?",
        R,
        ("works",),
        ("noLicense",),
        "People who are only eligible for a privileged role are not protected: name them in PROTECTED_ACCOUNTS.",
    ),
    Assumption(49, "Does v1.0 show `isPrivileged` of roles?", R, ("absent",), ("there",), HANDLED),
    Assumption(
        50, "Does a member lose a group's other products if one of them cannot be assigned?", N, ("lost",), ("kept",)
    ),
    Assumption(51, "How soon does `assignedPlans` show the plans of a license?", N, ("none",), ("minutes",)),
    Assumption(52, "Are writes counted in a window or in a bucket?", W, ("window", "bucket")),
)

BY_NUMBER = {each.number: each for each in ASSUMPTIONS}
