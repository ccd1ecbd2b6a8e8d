"""Options of a group's assignment as a form: shown, sent, and read."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import ValidationError

from functions.web.errors import HttpError
from functions.web.pages.forms import Form
from functions.web.requests import OptionsPatch
from shared.domain.assignment import AssignmentOptions, OptionsChange


@dataclass(frozen=True, slots=True)
class ShownOptions:
    """The fields of the form as texts, so that a form with a fault is shown again as it was sent."""

    usage_location: str
    grace_days: str
    priority: str
    removal_allowance: str
    removal_allowance_reason: str
    excluded_groups: str
    require_usage_location: bool
    include_guests: bool
    include_disabled_accounts: bool
    count_inherited: bool
    allow_native_overlap: bool

    @classmethod
    def of(cls, options: AssignmentOptions) -> ShownOptions:
        """The form of stored options."""
        allowance = options.removal_allowance
        return cls(
            options.usage_location or "",
            str(options.grace.days),
            str(options.priority),
            "" if allowance is None else str(allowance),
            options.removal_allowance_reason,
            "\n".join(sorted(options.excluded_groups)),
            options.require_usage_location,
            options.include_guests,
            options.include_disabled_accounts,
            options.count_inherited,
            options.allow_native_overlap,
        )

    @classmethod
    def sent(cls, form: Form) -> ShownOptions:
        """The form as it was sent."""
        return cls(
            form.get("usage_location"),
            form.get("grace_days"),
            form.get("priority"),
            form.get("removal_allowance"),
            form.get("removal_allowance_reason"),
            form.get("excluded_groups"),
            form.has("require_usage_location"),
            form.has("include_guests"),
            form.has("include_disabled_accounts"),
            form.has("count_inherited"),
            form.has("allow_native_overlap"),
        )


def options_of(form: Form) -> OptionsChange:
    """The options of a form; what it leaves unticked is off. Raises HttpError that names each field that is wrong."""
    shown = ShownOptions.sent(form)
    sent = {
        "usageLocation": shown.usage_location.upper() or None,
        "requireUsageLocation": shown.require_usage_location,
        "includeGuests": shown.include_guests,
        "includeDisabledAccounts": shown.include_disabled_accounts,
        "countInherited": shown.count_inherited,
        "allowNativeOverlap": shown.allow_native_overlap,
        "priority": shown.priority or "0",
        "grace": f"P{shown.grace_days or '0'}D",
        "excludedGroups": shown.excluded_groups.split(),
        "removalAllowance": shown.removal_allowance or None,
        "removalAllowanceReason": shown.removal_allowance_reason,
    }
    try:
        return OptionsPatch.model_validate(sent).value()
    except ValidationError as fault:
        wrong = [f"{each['loc'][0]}: {each['msg'].removeprefix('Value error, ')}" for each in fault.errors()]
        raise HttpError(400, "InvalidRequest", f"The options cannot be set. {'; '.join(wrong)}.") from fault
