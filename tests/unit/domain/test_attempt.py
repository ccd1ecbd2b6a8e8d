"""What each answer of Graph makes of a user's calls: what goes out next, what is proven, what is remembered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from shared.domain.attempt import (
    answered,
    begin,
    ended,
    intended,
    location_answered,
    postponed,
    with_stored,
)
from shared.domain.directory import (
    AssignedLicense,
    DirectoryUser,
    LicenseAssignmentState,
    LicenseError,
    ReadFailed,
    ServicePlan,
    UserGone,
)
from shared.domain.grant import Grant, Source, SourceKind
from shared.domain.ids import NO_PLANS, OperationId, Plans, ServicePlanId, SkuId, UserId
from shared.domain.initiator import SYSTEM, Initiator
from shared.domain.ledger_row import LastResult, LedgerRow, ManagedLicense, RejectionRecord
from shared.domain.operation import LicenseChange, Operation, OperationKind, Target
from shared.domain.outcomes import Problem, RetryAt, Skipped, SkipReason
from shared.domain.plan import UserPlan, plan_user
from shared.domain.product_facts import Pair, ProductFacts, SeenPlan, SeenProduct
from shared.domain.read_back import by_our_clock
from shared.domain.read_models import AuditEntry
from shared.domain.reconciliation import Attempted, Planned, Read, Work
from shared.domain.rejected_calls import to_send
from shared.domain.shown_facts import retired_plans
from shared.domain.write_results import (
    Accepted,
    Contended,
    LicenseCall,
    Rejected,
    Throttled,
    Unanswered,
    Unsent,
    WriteResult,
)
from tests.support.builders import (
    CALLING,
    CATALOG,
    DRAWING,
    E1,
    E3,
    E5,
    F3,
    FROM_A,
    FROM_B,
    GROUP_A,
    HOUR,
    NOW,
    PHONE,
    ROOM,
    SHAREPOINT_2,
    SHAREPOINT_KIOSK,
    TEAMS,
    USER,
    VISIO,
    context,
    direct,
    grant,
    ledger,
    managed,
    native,
    person,
    plan_id,
    plans,
    rejection_of,
)

LATER = NOW + timedelta(seconds=2)
CAUSE = "op"
UNNAMED = Rejected(400, "Request_BadRequest", "Something is wrong.")
NOT_THERE = Rejected(400, "Request_BadRequest", "User does not have a corresponding license.")
CLASH = Rejected(400, "Request_BadRequest", f"service plans {SHAREPOINT_KIOSK}, {SHAREPOINT_2} are mutually exclusive")
CONFLICT = Rejected(409, "Conflict", "Try again.")
DENIED = Rejected(403, "Authorization_RequestDenied", "Insufficient privileges.")
NO_SUCH_USER = Rejected(404, "Request_ResourceNotFound", "Resource does not exist.")
BAD_LOCATION = Rejected(400, "Request_BadRequest", "License assignment failed: invalid usage location specified.")

OTHER_REMEDY = "Read Graph's message; when its cause is corrected, reprocess the user."
PERMISSION_REMEDY = (
    "Grant the app the permission that the message is about (see the permissions in the operating guide). It "
    "counts within a day, without a restart."
)
PRODUCT_REMEDY = "Renew or buy a subscription of this product, or remove the product from the group; then reprocess."
NOT_FOUND_REMEDY = "The user does not exist (any more). If the account was deleted, do nothing."
LOCATION_REMEDY = "Correct the user's usage location, or disable the service plan that is not offered there."


def rejected(message: str) -> Rejected:
    return Rejected(400, "Request_BadRequest", message)


def not_assignable(sku_id: SkuId) -> Rejected:
    return rejected(f"License {sku_id} cannot be assigned to a user.")


def no_seat(sku_id: SkuId) -> Rejected:
    return rejected(f"Subscription with SKU {sku_id} does not have any available licenses.")


def gives(*skus: SkuId) -> tuple[AssignedLicense, ...]:
    return tuple(AssignedLicense(each) for each in skus)


def call(add: tuple[SkuId, ...] = (), remove: tuple[SkuId, ...] = ()) -> LicenseCall:
    return LicenseCall(gives(*add), remove)


def plan(
    add: tuple[SkuId, ...] = (),
    remove: tuple[SkuId, ...] = (),
    *,
    location: str | None = None,
    plans_off: Mapping[SkuId, Plans] | None = None,
) -> UserPlan:
    return UserPlan(
        USER,
        add=gives(*add),
        remove=remove,
        plans_off=plans_off or {},
        usage_location=location,
        sources={each: (FROM_A,) for each in add},
    )


def work(*, operation: Operation | None = None, attempts: Mapping[UserId, int] | None = None) -> Work:
    return Work(CAUSE, False, {}, NOW, operation, attempts or {})


def operation(*, cancelled: bool = False) -> Operation:
    return Operation(
        OperationId("op"),
        OperationKind.ASSIGN,
        Target(GROUP_A),
        LicenseChange(),
        SYSTEM,
        created_at=NOW,
        cancel_requested_by=Initiator("1", "Grace") if cancelled else None,
    )


def planned(
    of: UserPlan | None,
    user: DirectoryUser | None = None,
    row: LedgerRow | None = None,
    *,
    grants: tuple[Grant, ...] = (),
    wrote: bool = False,
) -> Planned:
    row = row or ledger()
    read = Read(USER, user or person(), row, row, grants, wrote=wrote)
    return Planned(read, row, grants, context(), of)


def sent(
    of: UserPlan, user: DirectoryUser | None = None, row: LedgerRow | None = None, at: datetime = NOW
) -> Attempted:
    """The user with the intent of the first call in the ledger, as it goes out."""
    return next_sent(begin(work(), planned(of, user, row)), at)


def next_sent(attempted: Attempted, at: datetime = NOW) -> Attempted:
    return with_stored(attempted, intended(attempted, CAUSE, at))


def after(attempted: Attempted, *answers: WriteResult) -> Attempted:
    """The user after these answers, each to the next call."""
    for number, answer in enumerate(answers):
        attempted = answered(work(), next_sent(attempted) if number else attempted, answer, LATER)
    return attempted


def at(seconds: float) -> datetime:
    """This many seconds after the answer."""
    return LATER + timedelta(seconds=seconds)


class TestBegin:
    def test_a_plan_that_writes_is_one_call_with_additions_and_removals(self) -> None:
        found = begin(work(), planned(plan((E3, VISIO), (E1,), location="CH")))
        assert found.calls == (call((E3, VISIO), (E1,)),)
        assert found.location == "CH"
        assert found.is_active

    def test_without_anything_to_write_there_is_no_call(self) -> None:
        for of in (None, plan()):
            found = begin(work(), planned(of))
            assert (found.calls, found.location, found.is_active) == ((), None, False)

    def test_a_user_whose_part_has_ended_gets_no_call(self) -> None:
        skipped = replace(planned(plan((E3,), location="CH")), result=Skipped(SkipReason.HELD))
        assert (begin(work(), skipped).calls, begin(work(), skipped).location) == ((), None)

    def test_a_cancelled_operation_makes_no_call(self) -> None:
        of = planned(plan((E3,), location="CH"), wrote=True)
        found = begin(work(operation=operation(cancelled=True)), of)
        assert (found.calls, found.location, found.wrote) == ((), None, True)
        assert begin(work(operation=operation()), of).calls == (call((E3,)),)

    def test_the_read_goes_along(self) -> None:
        entry = AuditEntry("1", NOW, "Adopt user license", Initiator("1", "Grace"), "success")
        stored, row = ledger(), ledger({E1: managed()})
        user = person(direct(E1))
        found = begin(work(), Planned(Read(USER, user, stored, stored, wrote=True), row, audit=(entry,)))
        assert (found.user, found.row, found.stored, found.wrote, found.audit) == (user, row, stored, True, (entry,))

    def test_an_unread_user_has_no_user(self) -> None:
        for answer in (ReadFailed("no answer"), UserGone()):
            found = begin(work(), Planned(Read(USER, answer, ledger(), ledger()), ledger()))
            assert (found.user, found.calls) == (None, ())


class TestIntended:
    def test_the_intent_tells_what_the_next_call_changes(self) -> None:
        of = replace(plan((E3, VISIO), (E1,), location="CH"), unmanaged=frozenset({VISIO}))
        intent = sent(of, person(direct(E1, plans(TEAMS)))).row.intent
        assert intent is not None
        assert (intent.cause, intent.at, intent.usage_location) == (CAUSE, NOW, "CH")
        assert intent.before == {E3: None, VISIO: None, E1: plans(TEAMS)}
        assert intent.after == {E3: NO_PLANS, VISIO: NO_PLANS, E1: None}
        assert intent.sources == {E3: (FROM_A,), VISIO: (FROM_A,)}
        assert intent.unmanaged == {VISIO}

    def test_only_the_next_of_two_calls_is_in_it(self) -> None:
        found = replace(begin(work(), planned(plan((E3, VISIO)))), calls=(call((VISIO,)), call((E3,))))
        intent = intended(found, CAUSE, NOW).intent
        assert intent is not None
        assert intent.after == {VISIO: NO_PLANS}

    def test_a_user_without_a_plan_cannot_be_written(self) -> None:
        with pytest.raises(ValueError, match=f"user {USER} has no plan to apply"):
            intended(begin(work(), planned(None)), CAUSE, NOW)

    def test_a_written_row_is_what_the_next_write_is_compared_with(self) -> None:
        before = begin(work(), planned(plan((E3,))))
        row = replace(intended(before, CAUSE, NOW), version="2")
        found = with_stored(before, row)
        assert (found.row, found.stored) == (row, row)

    def test_a_postponed_user_makes_no_call_and_no_attempt_is_counted(self) -> None:
        found = postponed(sent(plan((E3,))), LATER, "wait")
        assert (found.retry, found.is_active) == (RetryAt(LATER, "wait"), False)


class TestAccepted:
    def test_what_was_given_is_managed_and_shows(self) -> None:
        before = sent(plan((E3,), (E1,)), person(direct(E1), native(E1)), ledger({E1: managed(), VISIO: managed()}))
        assert before.row.intent is not None
        found = after(before, Accepted())
        assert found.user is not None
        assert found.user.license_assignment_states == (native(E1), LicenseAssignmentState(E3, last_updated=LATER))
        assert found.row.managed == {
            VISIO: managed(),
            E3: ManagedLicense(NO_PLANS, NOW, (FROM_A,), written=by_our_clock(NOW)),
        }
        assert found.row.intent is None
        assert found.row.last_result == LastResult(before.row.intent.id, CAUSE, LATER)
        assert found.row.removed_at == {E1: LATER}
        assert (found.wrote, found.calls, found.retry, found.problems) == (True, (), None, ())

    def test_the_change_is_audited_with_the_id_of_the_intent(self) -> None:
        before = sent(plan((E3,), (E1,)), person(direct(E1)))
        assert before.row.intent is not None
        found = answered(work(operation=operation()), before, Accepted(), LATER)
        assert found.audit == (
            AuditEntry(
                before.row.intent.id,
                NOW,
                "Change user license",
                SYSTEM,
                "success",
                USER,
                GROUP_A,
                OperationId("op"),
                before=f'{{"{E1}":[],"{E3}":null}}',
                after=f'{{"{E1}":null,"{E3}":[]}}',
                detail="Found by request",
            ),
        )

    def test_the_second_call_is_next(self) -> None:
        first, second = call((E3,)), call((VISIO,))
        found = after(next_sent(replace(begin(work(), planned(plan((E3, VISIO)))), calls=(first, second))), Accepted())
        assert found.calls == (second,)
        assert found.is_active
        found = after(next_sent(found), Accepted())
        assert found.calls == ()
        assert found.user is not None
        assert set(found.user.direct) == {E3, VISIO}
        assert len(found.audit) == 2


class TestRejected:
    def test_a_conflict_is_tried_again_after_10_seconds_as_an_attempt(self) -> None:
        found = after(sent(plan((E3,), (E1,))), CONFLICT)
        assert found.retry == RetryAt(at(10), "Try again.", rejected=True)
        assert (found.calls, found.row.intent, found.problems) == ((call((E3,), (E1,)),), None, ())

    def test_a_rejection_is_audited_with_graphs_text(self) -> None:
        before = sent(plan((E3,)))
        assert before.row.intent is not None
        (entry,) = after(before, CONFLICT).audit
        assert (entry.id, entry.result, entry.detail) == (f"{before.row.intent.id}-refused", "failure", "Try again.")

    def test_a_rejection_proves_nothing(self) -> None:
        row = ledger({E1: managed()})
        found = after(sent(plan((E3,), (E1,)), person(direct(E1)), row), UNNAMED)
        assert (found.row, found.wrote, found.user) == (row, False, person(direct(E1)))

    @pytest.mark.parametrize(("attempts", "gives_up"), [(0, False), (6, False), (7, True)])
    def test_an_unknown_user_may_be_new_until_the_last_attempt(self, attempts: int, gives_up: bool) -> None:
        found = answered(work(attempts={USER: attempts}), sent(plan((E3,))), NO_SUCH_USER, LATER)
        problem = Problem(LicenseError.NOT_FOUND, "Resource does not exist.", NOT_FOUND_REMEDY)
        retry = RetryAt(at(30), "Resource does not exist.", rejected=True)
        assert found.retry == (None if gives_up else retry)
        assert found.problems == ((problem,) if gives_up else ())
        assert found.calls == (() if gives_up else (call((E3,)),))
        assert found.rejections == {}

    @pytest.mark.parametrize(
        ("location", "attempts", "may_be_lag"),
        [
            pytest.param(None, 0, True, id="set by this look"),
            pytest.param(None, 7, False, id="set by this look, at the last attempt"),
            pytest.param("XX", 0, False, id="there before"),
            pytest.param("XX", 1, True, id="there now, perhaps set by the attempt before"),
        ],
    )
    def test_a_location_may_be_late_only_if_it_may_have_been_set_by_us(
        self, location: str | None, attempts: int, may_be_lag: bool
    ) -> None:
        user = sent(plan((E3,)), person(location=location))
        found = answered(work(attempts={USER: attempts}), user, BAD_LOCATION, LATER)
        error = Problem(LicenseError.PROHIBITED_IN_USAGE_LOCATION, BAD_LOCATION.message, LOCATION_REMEDY)
        assert found.retry == (RetryAt(at(30), BAD_LOCATION.message, rejected=True) if may_be_lag else None)
        assert found.problems == (() if may_be_lag else (error,))
        assert found.is_active is False

    @pytest.mark.parametrize("until", [None, LATER], ids=["of one user", "waited for long enough"])
    def test_a_missing_permission_of_one_user_or_after_two_days_ends_the_user(self, until: datetime | None) -> None:
        found = answered(work(), sent(plan((E3, VISIO))), DENIED, LATER, until)
        assert found.problems == (Problem(LicenseError.PERMISSION, "Insufficient privileges.", PERMISSION_REMEDY),)
        assert (found.calls, found.retry) == ((), None)

    def test_a_missing_permission_of_everybody_is_waited_for_and_audited_only_at_its_end(self) -> None:
        found = answered(work(), sent(plan((E3, VISIO))), DENIED, LATER, LATER + HOUR)
        assert (found.problems, found.audit, found.row.intent) == ((), (), None)
        assert found.retry is not None
        assert (found.retry.at, found.retry.unread, found.retry.rejected) == (LATER + timedelta(minutes=1), True, False)
        assert found.retry.error is LicenseError.PERMISSION
        assert "within a day" in found.retry.why
        assert "Insufficient privileges." in found.retry.why

    def test_a_product_that_is_not_the_tenants_is_left_out_and_the_others_go_out(self) -> None:
        text = f"License {VISIO} does not correspond to a valid company License."
        found = after(sent(plan((E3, VISIO))), rejected(text))
        assert found.problems == (Problem(LicenseError.INVALID_LICENSE, text, PRODUCT_REMEDY, VISIO),)
        assert found.calls == (call((E3,)),)

    def test_a_call_without_a_plan_is_a_fault_of_the_app(self) -> None:
        user = replace(begin(work(), planned(None)), calls=(call((E3,)),))
        with pytest.raises(ValueError, match=f"user {USER} has no plan to apply"):
            answered(work(), user, UNNAMED, LATER)


class TestRemovalThatIsDoneAlready:
    def test_the_only_removal_is_no_longer_managed_and_the_rest_goes_out(self) -> None:
        row = ledger({E1: managed(), VISIO: managed()})
        found = after(sent(plan((E3,), (E1,)), person(), row), NOT_THERE)
        assert found.row == ledger({VISIO: managed()})
        assert found.calls == (call((E3,)),)
        assert (found.problems, found.retry, found.wrote) == ((), None, False)

    def test_it_is_no_failure_in_the_audit_log(self) -> None:
        assert after(sent(plan((), (E1,))), NOT_THERE).audit == ()

    def test_a_call_with_nothing_else_is_done(self) -> None:
        found = after(sent(plan((), (E1,)), row=ledger({E1: managed()})), NOT_THERE)
        assert (found.calls, found.row.managed, found.is_active) == ((), {}, False)

    def test_of_several_removals_each_goes_alone_and_the_additions_with_the_first(self) -> None:
        row = ledger({E1: managed(), VISIO: managed(), PHONE: managed()})
        found = after(sent(plan((E3,), (E1, VISIO, PHONE)), row=row), NOT_THERE)
        assert found.calls == (call((E3,), (E1,)), call((), (VISIO,)), call((), (PHONE,)))
        assert found.row == row

    def test_then_the_one_that_is_not_there_is_found(self) -> None:
        row = ledger({E1: managed(), VISIO: managed()})
        user = person(direct(E1), direct(VISIO))
        found = after(sent(plan((), (E1, VISIO)), user, row), NOT_THERE, Accepted(), NOT_THERE)
        assert (found.calls, found.row.managed, found.wrote) == ((), {}, True)
        assert found.row.removed_at == {E1: LATER}

    @pytest.mark.parametrize("text", [NOT_THERE.message, "No license changes provided"])
    def test_an_answer_about_removals_to_additions_alone_is_a_rejection(self, text: str) -> None:
        found = after(sent(plan((E3, VISIO))), rejected(text))
        assert found.calls == (call((E3,)), call((VISIO,)))
        assert [entry.result for entry in found.audit] == ["failure"]
        found = after(sent(plan((E3,))), rejected(text))
        assert (found.calls, [each.sku_id for each in found.problems]) == ((), [E3])

    def test_calls_that_wait_stay(self) -> None:
        user = replace(begin(work(), planned(plan((E3,), (E1, VISIO)))), calls=(call((), (E1,)), call((E3,))))
        assert after(next_sent(user), NOT_THERE).calls == (call((E3,)),)


class TestRejectedSku:
    def test_a_named_addition_is_left_out_with_what_it_was_to_replace(self) -> None:
        found = after(sent(plan((E3, VISIO), (E1, PHONE))), not_assignable(E3))
        assert found.calls == (call((VISIO,), (PHONE,)),)
        text = f"License {E3} cannot be assigned to a user."
        assert found.problems == (Problem(LicenseError.INVALID_LICENSE, text, PRODUCT_REMEDY, E3),)
        assert found.rejections == {E3: RejectionRecord("", LicenseError.INVALID_LICENSE, text, LATER)}
        assert (found.retry, found.waiting) == (None, ())

    def test_a_named_removal_is_left_out_and_an_addition_beside_it_is_tried(self) -> None:
        text = f"License {E1} is inherited from a group membership and it cannot be removed directly from the user."
        found = after(sent(plan((E3, VISIO), (E1, PHONE)), person(direct(E1))), rejected(text))
        assert found.calls == (call((E3, VISIO), (PHONE,)),)
        assert [(each.sku_id, each.error) for each in found.problems] == [(E1, LicenseError.OTHER)]
        assert list(found.rejections) == [E1]

    def test_named_plans_leave_out_the_only_addition_that_contains_one(self) -> None:
        text = f"License assignment failed because service plans {DRAWING} are mutually exclusive."
        found = after(sent(plan((E3, E5, VISIO))), rejected(text))
        assert found.calls == (call((E3, E5)),)
        assert [(each.sku_id, each.error) for each in found.problems] == [(VISIO, LicenseError.MUTUALLY_EXCLUSIVE)]

    def test_named_plans_of_several_additions_send_each_alone_once(self) -> None:
        found = after(sent(plan((E3, F3, VISIO))), CLASH, Accepted(), CLASH, Accepted())
        assert (found.calls, set(found.row.managed)) == ((), {E3, VISIO})
        assert [(each.sku_id, each.error) for each in found.problems] == [(F3, LicenseError.MUTUALLY_EXCLUSIVE)]

    def test_a_conflict_with_a_license_that_is_there_does_not_blame_another_addition(self) -> None:
        found = after(sent(plan((E3, F3)), person(direct(E5))), CLASH)
        assert [each.sku_id for each in found.problems] == [F3]
        assert found.calls == (call((E3,)),)

    def test_the_conflict_is_observed_with_each_license_that_has_the_other_plan_on(self) -> None:
        rows = (direct(E5), native(E3), direct(E1), direct(VISIO))
        found = after(sent(plan((F3, PHONE)), person(*rows)), CLASH)
        assert set(found.conflicts) == {Pair.of(F3, E5), Pair.of(F3, E3)}
        conflict = found.conflicts[Pair.of(F3, E5)]
        assert (conflict.plans, conflict.text, conflict.at) == (
            plans(SHAREPOINT_2, SHAREPOINT_KIOSK),
            CLASH.message,
            LATER,
        )
        assert found.rejections[F3].plans == {SHAREPOINT_2, SHAREPOINT_KIOSK}

    def test_no_conflict_is_observed_with_what_goes_or_has_the_plan_off_or_between_two_additions(self) -> None:
        for user in (person(direct(E3)), person(direct(E5, plans(SHAREPOINT_2))), person()):
            found = after(sent(plan((F3,), (E3,)), user), CLASH)
            assert found.conflicts == {}

    def test_a_rejected_addition_that_was_all_ends_the_calls(self) -> None:
        found = after(sent(plan((E3,), (E1,))), not_assignable(E3))
        assert (found.calls, found.is_active) == ((), False)

    def test_two_rejections_are_both_kept(self) -> None:
        found = after(sent(plan((E3, PHONE, VISIO))), not_assignable(E3), not_assignable(VISIO))
        assert found.calls == (call((PHONE,)),)
        assert [each.sku_id for each in found.problems] == [E3, VISIO]
        assert set(found.rejections) == {E3, VISIO}
        assert [entry.result for entry in found.audit] == ["failure", "failure"]

    def test_without_a_name_each_sku_goes_alone(self) -> None:
        found = after(sent(plan((E3, VISIO))), UNNAMED)
        assert found.calls == (call((E3,)), call((VISIO,)))
        assert (found.problems, found.rejections, found.retry) == ((), {}, None)

    def test_a_removal_goes_with_the_last_addition_that_may_replace_it_and_free_ones_at_the_end(self) -> None:
        found = after(sent(plan((E3, E5, VISIO), (E1, ROOM))), UNNAMED)
        assert found.calls == (call((E3,)), call((E5,), (E1,)), call((VISIO,)), call((), (ROOM,)))

    def test_a_license_in_which_plans_are_turned_off_goes_after_the_other_additions(self) -> None:
        found = after(sent(plan((E3, E5, VISIO), plans_off={E3: plans(TEAMS)})), UNNAMED)
        assert found.calls == (call((E5,)), call((VISIO,)), call((E3,)))

    def test_a_rejection_of_one_alone_leaves_out_that_one(self) -> None:
        found = after(sent(plan((E3, VISIO))), UNNAMED, UNNAMED, Accepted())
        assert found.calls == ()
        assert found.problems == (Problem(LicenseError.OTHER, "Something is wrong.", OTHER_REMEDY, E3),)
        assert found.row.managed == {VISIO: ManagedLicense(NO_PLANS, NOW, (FROM_A,), written=by_our_clock(NOW))}

    def test_an_addition_alone_with_what_it_replaces_is_left_out_whole(self) -> None:
        found = after(sent(plan((E3,), (E1,))), UNNAMED)
        assert found.calls == ()
        assert [each.sku_id for each in found.problems] == [E3]

    def test_a_removal_alone_is_left_out(self) -> None:
        found = after(sent(plan((), (E1,))), UNNAMED)
        assert (found.calls, [each.sku_id for each in found.problems]) == ((), [E1])

    def test_a_later_removal_waits_when_what_was_to_replace_it_is_left_out(self) -> None:
        found = after(sent(plan((E3, E5, VISIO), (E1,))), UNNAMED, UNNAMED)
        assert [each.sku_id for each in found.problems] == [E3]
        assert found.calls == (call((E5,)), call((VISIO,)))

    def test_later_plans_stay_on_when_what_was_to_replace_them_is_left_out(self) -> None:
        before = sent(plan((E5, PHONE, VISIO), plans_off={E5: plans(CALLING)}))
        assert after(before, UNNAMED).calls == (call((VISIO,)), call((PHONE,)), call((E5,)))
        found = after(before, UNNAMED, Accepted(), UNNAMED)
        assert [each.sku_id for each in found.problems] == [PHONE]
        assert found.calls == ()

    def test_a_product_that_needs_a_plan_of_another_goes_after_it(self) -> None:
        found = after(sent(plan((PHONE, VISIO, E3))), UNNAMED)
        assert found.calls == (call((E3,)), call((VISIO,)), call((PHONE,)))

    def test_a_sku_without_a_free_seat_waits_and_the_others_go_out(self) -> None:
        found = after(sent(plan((E3, VISIO), (E1, PHONE))), no_seat(E3))
        assert (found.waiting, found.calls) == ((E3,), (call((VISIO,), (PHONE,)),))
        assert (found.problems, found.rejections, found.retry) == ((), {}, None)

    def test_two_skus_without_a_free_seat_wait(self) -> None:
        found = after(sent(plan((E3, VISIO))), no_seat(VISIO), no_seat(E3))
        assert (found.waiting, found.calls) == ((VISIO, E3), ())


class TestRejectedPlans:
    """A group that turns off a plan which Microsoft has taken out of the product."""

    OLD = plan_id(77)
    NAMED = rejected(f"Service plan {plan_id(77)} does not belong to the subscription with SKU {E3}.")

    def turned_off(self, *more: ServicePlanId) -> Attempted:
        of = replace(plan((E3, VISIO)), add=(AssignedLicense(E3, plans(self.OLD, *more)), AssignedLicense(VISIO)))
        return sent(of)

    @pytest.mark.parametrize("answer", [NAMED, UNNAMED])
    def test_the_call_goes_out_again_without_it_and_the_intent_keeps_it(self, answer: Rejected) -> None:
        found = next_sent(after(self.turned_off(TEAMS), answer))
        assert to_send(found).add == (AssignedLicense(E3, plans(TEAMS)), AssignedLicense(VISIO))
        assert found.row.intent is not None
        assert found.row.intent.after[E3] == plans(self.OLD, TEAMS)
        assert found.row.intent.left_out == {E3: plans(self.OLD)}
        done = after(found, Accepted())
        assert (done.problems, retired_plans(done)) == ((), {E3: plans(self.OLD)})
        assert done.row.managed[E3].disabled_plans == {self.OLD, TEAMS}

    def test_if_it_was_not_that_nothing_is_known_of_the_plan(self) -> None:
        found = after(self.turned_off(), UNNAMED, UNNAMED, UNNAMED, Accepted())
        assert [each.sku_id for each in found.problems] == [E3]
        assert retired_plans(found) == {}

    def test_a_plan_that_a_conflict_names_is_not_taken_for_it(self) -> None:
        text = f"service plans {SHAREPOINT_KIOSK}, {SHAREPOINT_2} are mutually exclusive"
        found = after(sent(replace(plan((E3,)), add=(AssignedLicense(E3, plans(SHAREPOINT_2)),))), rejected(text))
        assert (found.rejected_plans, [each.sku_id for each in found.problems]) == ({}, [E3])

    def test_a_plan_that_is_known_to_be_retired_is_not_sent_at_all(self) -> None:
        product = SeenProduct(E3, "E3", {self.OLD: SeenPlan(ServicePlan(self.OLD, "OLD"), rejected_at=NOW)})
        before = self.turned_off(TEAMS)
        catalog = replace(CATALOG, facts=ProductFacts({E3: product}))
        before = replace(before, planned=replace(before.planned, context=context(catalog=catalog)))
        assert to_send(before).add[0] == AssignedLicense(E3, plans(TEAMS))


class TestContendedMeanwhile:
    """A tenant that takes one write at a time rejects the call that follows a rejection at once."""

    BUSY = Contended("Error due to concurrent requests being made to the tenant.")

    def next_message(self, ended_one: Attempted, of: UserPlan) -> Attempted:
        """The user as the next message begins: planned again with the row as it is stored."""
        row = replace(ended_one.row, rejections=ended_one.rejections)
        return begin(work(), planned(of, ended_one.user, row))

    def test_each_sku_goes_alone_from_then_on(self) -> None:
        of = plan((E3, VISIO))
        found = ended(after(sent(of), UNNAMED, self.BUSY), LATER)
        assert set(found.rejections) == {E3, VISIO}
        again = self.next_message(found, of)
        assert again.calls == (call((E3,)), call((VISIO,)))
        found = ended(after(next_sent(again), UNNAMED, self.BUSY), LATER)
        assert [each.sku_id for each in found.problems] == [E3]
        left = self.next_message(found, plan((VISIO,)))
        assert after(next_sent(left), Accepted()).row.managed.keys() == {VISIO}

    def test_removals_of_which_one_is_done_go_alone_too(self) -> None:
        of = plan((), (E1, ROOM))
        found = ended(after(sent(of, person(direct(E1), direct(ROOM))), NOT_THERE, self.BUSY), LATER)
        assert self.next_message(found, of).calls == (call((), (E1,)), call((), (ROOM,)))

    def test_a_rejected_plan_is_not_named_again(self) -> None:
        old = plan_id(77)
        of = replace(plan((E3,)), add=(AssignedLicense(E3, plans(old, TEAMS)),))
        named = rejected(f"Service plan {old} does not belong to the subscription with SKU {E3}.")
        found = ended(after(sent(of), named, self.BUSY), LATER)
        again = next_sent(self.next_message(found, of))
        assert to_send(again).add == (AssignedLicense(E3, plans(TEAMS)),)

    def test_nothing_is_remembered_of_what_was_settled(self) -> None:
        found = ended(after(sent(plan((E3, VISIO))), UNNAMED, Accepted(), self.BUSY), LATER)
        assert set(found.rejections) == {VISIO}
        assert ended(after(sent(plan((E3, VISIO))), UNNAMED, Accepted(), Accepted()), LATER).rejections == {}


class TestNoAnswer:
    def test_throttling_waits_as_long_as_asked_and_is_no_attempt(self) -> None:
        found = after(sent(plan((E3,))), Throttled(12.5))
        assert found.retry == RetryAt(at(12.5), "Graph throttles writes")
        assert (found.row.intent, found.calls, found.audit) == (None, (call((E3,)),), ())

    def test_a_lost_answer_keeps_the_intent_for_the_next_read(self) -> None:
        before = sent(plan((E3,)))
        assert before.row.intent is not None
        found = after(before, Unanswered("HTTP 500"))
        assert found.retry == RetryAt(at(15), "HTTP 500", rejected=True)
        assert found.row == before.row
        assert (found.wrote, found.audit, found.user) == (False, (), person())

    def test_a_lost_answer_to_the_second_call_keeps_what_the_first_proved(self) -> None:
        found = after(sent(plan((E3, VISIO))), UNNAMED, Accepted(), Unanswered("HTTP 500"))
        assert found.row.managed == {E3: ManagedLicense(NO_PLANS, NOW, (FROM_A,), written=by_our_clock(NOW))}
        assert found.row.intent is not None
        assert found.row.intent.after == {VISIO: NO_PLANS}
        assert (found.wrote, found.is_active) == (True, False)


class TestUsageLocation:
    def located(self, answer: WriteResult) -> Attempted:
        return location_answered(work(), sent(plan((E3,), (E1,), location="CH"), person(location=None)), answer, LATER)

    def test_an_accepted_location_lets_the_license_call_go_out(self) -> None:
        found = self.located(Accepted())
        assert found.user == person(location="CH")
        assert found.location is None
        assert found.is_active
        assert (found.calls, found.wrote) == ((call((E3,), (E1,)),), False)
        assert found.row.intent is not None

    @pytest.mark.parametrize("text", ["Insufficient privileges.", "Invalid usage location."])
    def test_403_is_a_missing_permission_whatever_the_text_says(self, text: str) -> None:
        found = self.located(Rejected(403, "Authorization_RequestDenied", text))
        whole = f"The usage location could not be set: {text}"
        assert found.problems == (Problem(LicenseError.PERMISSION, whole, PERMISSION_REMEDY),)
        assert (found.calls, found.row.intent, found.retry) == ((), None, None)

    @pytest.mark.parametrize(
        ("answer", "error", "remedy"),
        [
            (BAD_LOCATION, LicenseError.PROHIBITED_IN_USAGE_LOCATION, LOCATION_REMEDY),
            (NO_SUCH_USER, LicenseError.NOT_FOUND, NOT_FOUND_REMEDY),
            (UNNAMED, LicenseError.OTHER, OTHER_REMEDY),
        ],
    )
    def test_a_rejected_location_is_the_error_of_the_user(
        self, answer: Rejected, error: LicenseError, remedy: str
    ) -> None:
        found = self.located(answer)
        assert found.problems == (Problem(error, f"The usage location could not be set: {answer.message}", remedy),)
        assert (found.calls, found.row.intent, found.rejections) == ((), None, {})

    def test_throttling_and_a_lost_answer_are_tried_again_without_the_intent(self) -> None:
        throttled, lost = self.located(Throttled(7)), self.located(Unanswered("HTTP 500"))
        assert throttled.retry == RetryAt(at(7), "Graph throttles writes")
        assert lost.retry == RetryAt(at(15), "HTTP 500", rejected=True)
        for found in (throttled, lost):
            assert (found.row.intent, found.is_active, found.problems) == (None, False, ())
            assert (found.location, found.user) == ("CH", person(location=None))


class TestEnded:
    def test_calls_that_are_left_are_made_by_the_next_message_as_an_attempt(self) -> None:
        found = ended(after(sent(plan((E3, VISIO))), UNNAMED), LATER)
        assert found.retry == RetryAt(at(10), "more calls than one message can make", rejected=True)

    def test_a_user_who_goes_back_anyway_keeps_time_and_reason(self) -> None:
        before = after(sent(plan((E3,))), Throttled(12.5))
        assert ended(before, LATER) == before

    def test_without_a_connection_nothing_was_written_and_no_attempt_is_counted(self) -> None:
        found = after(sent(plan((E3,))), Unsent(5.0))
        assert (found.retry, found.row.intent) == (RetryAt(at(5), "no connection to Graph could be opened"), None)

    def test_a_user_whose_calls_were_made_stays_as_is(self) -> None:
        before = after(sent(plan((E3,))), Accepted())
        assert ended(before, LATER) == before

    def test_the_next_check_the_same_state_does_not_try_a_rejected_sku_again(self) -> None:
        grants = (grant(E3), grant(VISIO, source=FROM_B))
        user = person()
        first = plan_user(user, grants, ledger(), context())
        begun = next_sent(begin(work(), planned(first, user, grants=grants)))
        found = ended(after(begun, not_assignable(E3), Accepted()), LATER)

        assert found.user is not None
        again = plan_user(found.user, grants, replace(found.row, rejections=found.rejections), context(LATER))
        assert (again.writes, [each.sku_id for each in again.problems]) == (False, [E3])
        assert len(found.rejections[E3].fingerprint) == 16

        moved = replace(found.user, usage_location="DE")
        tried = plan_user(moved, grants, replace(found.row, rejections=found.rejections), context(LATER + HOUR))
        assert tried.add == gives(E3)

    def test_two_rejected_skus_are_remembered_with_the_same_work(self) -> None:
        grants = (grant(E3), grant(VISIO))
        user = person()
        begun = next_sent(begin(work(), planned(plan_user(user, grants, ledger(), context()), user, grants=grants)))
        found = ended(after(begun, not_assignable(E3), not_assignable(VISIO)), LATER)
        again = plan_user(user, grants, replace(ledger(), rejections=found.rejections), context(LATER))
        assert (again.add, [each.sku_id for each in again.problems]) == ((), [E3, VISIO])

    def test_an_older_rejection_of_the_row_does_not_hide_the_work(self) -> None:
        grants = (grant(E3),)
        user = person()
        first = plan_user(user, grants, ledger(), context())
        row = replace(ledger(), rejections={E3: rejection_of(first, E3)})
        begun = next_sent(begin(work(), planned(first, user, row, grants=grants)))
        found = ended(after(begun, UNNAMED), LATER)
        expected = rejection_of(first, E3, at=LATER)
        assert found.rejections == {E3: replace(expected, text="Something is wrong.")}

    @pytest.mark.parametrize("in_grace", [True, False])
    def test_a_license_in_grace_that_is_in_the_way_is_swapped_by_the_next_look(self, in_grace: bool) -> None:
        kept = Source(SourceKind.GRACE) if in_grace else FROM_B
        grants = (grant(E5, source=kept, until=NOW + HOUR), grant(F3))
        user, row = person(direct(E5)), ledger({E5: managed()})
        begun = next_sent(begin(work(), planned(plan_user(user, grants, row, context()), user, row, grants=grants)))
        found = ended(after(begun, CLASH), LATER)
        assert [each.sku_id for each in found.problems] == [F3]
        assert (found.retry is not None) is in_grace
        assert found.retry is None or (found.retry.at, found.retry.rejected) == (at(10), True)

    def test_without_a_context_a_rejection_has_no_fingerprint(self) -> None:
        record = RejectionRecord("", LicenseError.OTHER, "No.", LATER)
        for of in (
            replace(planned(plan()), context=None),
            Planned(Read(USER, UserGone(), ledger(), ledger()), ledger()),
        ):
            before = replace(begin(work(), of), rejections={E3: record})
            assert ended(before, LATER).rejections == {E3: record}
