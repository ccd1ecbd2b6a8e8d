"""Which of a person's HR statements count.

Events are statements about one employment: it starts, has this job, ends, or does not end. There are two orders. The
effective date says when a statement takes effect. Its stamp says which of two is the newer one. If HR's statements are
ambiguous, a person decides; until then nothing new is granted and nothing is removed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime

from shared.domain import onboarding_ends as ends
from shared.domain.hr_case import Case, Judgement, Turn, waits_for
from shared.domain.hr_state import NO_EMPLOYMENT, HrState, Statement
from shared.domain.onboarding import HrEventType, OnboardingRecord, OnboardingState

JOINER, MOVER, LEAVER = HrEventType.JOINER, HrEventType.MOVER, HrEventType.LEAVER
RESCISSION = HrEventType.RESCISSION
_VOID = (OnboardingState.SUPERSEDED, OnboardingState.CANCELLED)


def judge(
    record: OnboardingRecord, others: Iterable[OnboardingRecord], state: HrState | None, now: datetime
) -> Judgement:
    """Decide by the person's other statements and by what HR has brought about.

    `record`: a start, a move or an end. Events about a leaver are answered in `leaver_events`.
    """
    others = list(others)
    known = [each for each in others if each.key != record.key and _counts(each)]
    name = employment_of(record, known, state)
    if name is None:
        # Each choice would be a guess: of two jobs, an end of the wrong one removes licenses that the person needs.
        return Judgement(Turn.ASK, question=ends.WHICH_EMPLOYMENT)
    named = [(each, employment_of(each, [record, *known], state)) for each in known]
    same = [each for each, employment in named if employment == name]
    elsewhere = [each for each, employment in named if employment != name]
    returning = frozenset(each.key for each in others if each.cancelled_by and not each.state.is_ended)
    void = [each for each in others if each.state is OnboardingState.SUPERSEDED]
    superseded = [each for each in void if employment_of(each, [record, *known], state) == name]
    employment = state.of(name) if state else NO_EMPLOYMENT
    case = Case(record, same, elsewhere, name, employment, now, returning, superseded)
    decide: dict[HrEventType, Callable[[Case], Judgement]] = {JOINER: _start, MOVER: _move, LEAVER: _end}
    found = _of_its_kind(case) or decide[record.event.type](case)
    if found.turn in (Turn.SUPERSEDED, Turn.FORMER):
        # It will change nothing, so the questions below do not arise.
        return found
    if record.revived and record.event.type is LEAVER and not case.decided:
        found = case.to(Turn.ASK, question=ends.REVIVED)
    if found.turn in (Turn.NOW, Turn.AFTER) and _never_started(case, state):
        found = case.to(Turn.ASK, question=ends.NEVER_STARTED)
    found = _waiting_for_writes(found)
    alone = _is_alone(case, state)
    is_unknown = not alone and case.employment == NO_EMPLOYMENT and not case.of(JOINER) and not case.of(MOVER)
    return replace(found, alone=alone, is_unknown=is_unknown and record.event.type is LEAVER)


def employment_of(record: OnboardingRecord, others: Iterable[OnboardingRecord], state: HrState | None) -> str | None:
    """The employment that a statement is about; None if it names none and the person has several.

    A source that gives no `employmentId` means the person's only employment of that source, and so does a source that
    begins to give one, except for a start. Employments of other sources are never meant.
    """
    own, unnamed = record.event.employment, record.event.source
    known = {name for name, each in (state.employments if state else {}).items() if each.in_force}
    known |= {
        each.event.employment
        for each in others
        if each.key != record.key and each.event.type is JOINER and not each.state.is_ended and _counts(each)
    }
    known = {name for name in known if record.event.can_be_about(name)}
    if own in known or not known or (own != unnamed and record.event.type is JOINER):
        return own
    if own != unnamed:
        return unnamed if known == {unnamed} else own
    return next(iter(known)) if len(known) == 1 else None


def _counts(record: OnboardingRecord) -> bool:
    return record.state not in _VOID and not record.cancelled_by and record.event.type is not HrEventType.RELEASE


def _of_its_kind(case: Case) -> Judgement | None:
    """A newer statement of the same kind counts instead. A start or a move does so even if it is superseded, because it
    makes no difference which of the two came first. Two with the same place and different content are asked about."""
    record = case.record
    kin = [each for each in case.of(record.event.type) if not (record.event.type is LEAVER and case.is_former(each))]
    void = [each for each in case.superseded if each.event.type is record.event.type is not LEAVER]
    if record.event.type is LEAVER and case.is_former(record):
        return None
    newer = [
        each for each in (*kin, *void) if case.is_newer(each) and (case.has_come(each) or not case.has_begun(record))
    ]
    if newer:
        newest = [a for a in newer if not any(b.stamp.is_newer_than(a.stamp) for b in newer)]
        # None if each is newer than another: two by the order of their source, and one of another source by arrival.
        return case.to(Turn.SUPERSEDED, newest[0] if newest else max(newer, key=lambda each: each.received_at))
    for each in kin:
        if not each.stamp.is_tied_with(record.stamp):
            continue
        if _content(each) == _content(record):
            # HR sent one statement twice under two ids. The first one counts, and there is nothing to ask.
            if (each.received_at, each.key) < (record.received_at, record.key):
                return case.to(Turn.SUPERSEDED, each)
        elif each.decided_by:
            # A person has already chosen the other of the two.
            return case.to(Turn.SUPERSEDED, each)
        elif not case.decided:
            unasked = not each.state.is_ended and each.state not in (
                OnboardingState.NEEDS_DECISION,
                OnboardingState.WORKING,
            )
            asked = case.to(Turn.ASK, each, ends.same_order(each.event.id))
            return replace(asked, asks=(each,) if unasked else ())
    return None


def _content(record: OnboardingRecord) -> object:
    return replace(record.event, id="", correlation_id="", time=None)


def _kin(case: Case) -> list[OnboardingRecord]:
    """Open statements of the same kind, which this one replaces."""
    older = [each for each in case.open(case.record.event.type) if not (case.is_former(each) or case.is_newer(each))]
    return [each for each in older if case.has_come(case.record) or not case.has_begun(each)]


def _start(case: Case) -> Judgement:
    record, employment, day = case.record, case.employment, case.record.event.day
    before = employment.had_a_job_before(record.key)
    for done in case.newer_ones(employment.start, employment.job, employment.end):
        # A newer move or end of an earlier day was about the job before this start.
        if done == employment.start or done.day >= day:
            return case.to(Turn.SUPERSEDED, done)
    for leaver in case.of(LEAVER):
        if _prevents_start(case, leaver, before):
            return case.to(Turn.SUPERSEDED, leaver)
    leavers = [each for each in case.open(LEAVER) if not case.is_former(each)]
    over = [each for each in leavers if _is_revoked(case, each, before)]
    doubtful = [each for each in leavers if each not in over and not case.is_newer(each) and not each.decided_by]
    postponed = employment.in_force and employment.start is not None and not case.has_come(record)
    if postponed and not over and not case.decided and employment.start != record.statement:
        # The person works already. HR can mean a second start, or a correction that takes the licenses away until then.
        return case.to(Turn.ASK, employment.start, ends.POSTPONED)
    moves = [each for each in case.open(MOVER) if not case.is_newer(each) and each.event.day <= day]
    found = case.to(Turn.NOW)
    return replace(
        found,
        replaces=(*_kin(case), *moves),
        supersedes=tuple(over),
        asks=tuple(doubtful),
        revives=tuple(_revived(case)),
        on_its_day=before or bool(over),
    )


def _revived(case: Case) -> list[OnboardingRecord]:
    """Moves that a leaver superseded before this start was known, which lies between the two."""
    before = {each.key: each.statement for each in case.of(LEAVER)}
    return [
        move
        for move in case.superseded
        if move.event.type is MOVER
        and move.body
        and move.superseded_by in before
        and (case.is_newer(move) or move.event.day > case.record.event.day)
        and case.separates(case.record, before[move.superseded_by], move)
    ]


def _prevents_start(case: Case, leaver: OnboardingRecord, before: bool) -> bool:
    """A newer leaver event that is due, or that calls off the employment before it began. On the day of the start, it
    concerns the job before, if there was one."""
    day = case.record.event.day
    counts = not leaver.state.is_ended or leaver.state.is_carried_out
    if not counts or not case.is_newer(leaver) or case.is_former(leaver):
        return False
    if leaver.event.day < day:
        return case.calls_off(leaver.statement, case.record)
    return case.has_come(leaver) and not (leaver.event.day == day and before)


def _is_revoked(case: Case, leaver: OnboardingRecord, before: bool) -> bool:
    """Whether the start, once it is carried out, leaves nothing of an open leaver."""
    day = case.record.event.day
    if case.is_newer(leaver):
        return leaver.event.day < day or (leaver.event.day == day and before)
    return leaver.event.day <= day or before


def _move(case: Case) -> Judgement:
    day, starts, done_ends = case.record.event.day, case.open(JOINER), _ends_before_move(case)
    leavers = [
        each
        for each in case.open(LEAVER)
        if not (case.is_former(each) or case.starts_between(each.statement, case.record))
    ]
    if instead := _instead_of_move(case, [*starts, *leavers], done_ends):
        return case.to(Turn.SUPERSEDED, instead[0])
    revoked = [each for each in leavers if not case.is_newer(each) and each.event.day <= day]
    over = [*done_ends, *(each.statement for each in revoked)]
    if over and not case.decided:
        # The employment has ended by then, so the move is late or the end is wrong. Licenses depend on which it is.
        return case.to(Turn.ASK, over[0], ends.MOVE_AFTER_END)
    # A person who works already moves on the day, also if the next start of the employment is known.
    before = [each for each in starts if each.event.day <= day or not case.employment.in_force]
    # If a person has decided that the move counts, an announced leaver is over at once and not on the day of the move.
    turn = case.to(Turn.AFTER, before[0]) if before else case.to(Turn.NOW)
    return replace(turn, replaces=(*_kin(case), *(revoked if case.decided else ())))


def _instead_of_move(
    case: Case, others: Iterable[OnboardingRecord], done_ends: Iterable[Statement]
) -> list[OnboardingRecord | Statement]:
    """Newer statements that leave nothing of a move: a start or an end from the same day on, a later job."""
    day, start = case.record.event.day, case.employment.start
    jobs = case.newer_ones(start, case.employment.job)
    newer = [each for each in others if case.is_newer(each)]
    return [
        *(each for each in jobs if each != start or each.day >= day),
        *(each for each in newer if each.event.type is JOINER and each.event.day >= day),
        *(each for each in newer if each.event.type is LEAVER and (each.event.day <= day or case.has_come(each))),
        *(each for each in done_ends if case.is_newer(each)),
    ]


def _ends_before_move(case: Case) -> list[Statement]:
    """The leaver that was carried out, also if there was no account to do it with."""
    end, job = case.employment.end, case.employment.job
    done = [end] if end is not None else []
    if end is None and job is None:
        done = [each.statement for each in case.of(LEAVER) if each.state.is_carried_out]
    return [each for each in done if not case.starts_between(each, case.record)]


def _end(case: Case) -> Judgement:
    record, employment, day = case.record, case.employment, case.record.event.day
    if before := _of_rescissions(case) or _of_an_end_before(case):
        return before
    start = employment.start
    if employment.in_force and start is not None:
        if case.is_former(record):
            return case.to(Turn.FORMER, start)
        if case.is_newer(start):
            if day == start.day:
                return case.to(Turn.SUPERSEDED, start)
            if not case.decided:
                # The end is older than a start that was carried out: HR may have forgotten to withdraw it.
                return case.to(Turn.ASK, start, ends.STARTED_AGAIN)
        elif day == start.day and employment.continued and employment.job == start:
            # Of the job before, which was in force until that start.
            return case.to(Turn.FORMER, start)
    return _among_starts(case) or _among_moves(case)


def _of_rescissions(case: Case) -> Judgement | None:
    """A newer rescission leaves nothing of an end. One that is not done yet gives back what the end has taken."""
    found: OnboardingRecord | None = None
    leavers = [*case.of(LEAVER), *(each for each in case.superseded if each.event.type is LEAVER)]
    for each in case.of(RESCISSION):
        counts = case.is_newer(each) or waits_for(each, case.record, leavers)
        if counts and (found is None or each.stamp.is_newer_than(found.stamp)):
            found = each
    if found is None:
        return None
    gives_back = case.record.taken is not None and not found.state.is_ended
    return case.to(Turn.AFTER if gives_back else Turn.SUPERSEDED, found)


def _of_an_end_before(case: Case) -> Judgement | None:
    """The judgement of an end after another end was carried out. Before the day of the newer one, the employment is not
    over: a person is asked, or the removals are undone."""
    end = case.employment.end
    if end is None or end.key == case.record.key:
        return None
    if case.is_newer(end):
        return case.to(Turn.SUPERSEDED, end)
    if case.has_come(case.record) or end.key in case.returning:
        return None
    done = [each for each in case.of(LEAVER) if each.key == end.key and each.state.is_ended]
    if not case.decided and (done or not case.open(LEAVER)):
        # The licenses are gone, and HR now gives a later end. Only a person can say whether the user works until then.
        return case.to(Turn.ASK, end, ends.EXTENDED)
    mine = [each for each in done if each.taken is not None]
    return replace(case.to(Turn.NOW), replaces=(*_kin(case), *mine))


def _among_starts(case: Case) -> Judgement | None:
    """The judgement of an end if some starts have not been carried out."""
    day = case.record.event.day
    for start in case.of(JOINER):
        failed = start.state is OnboardingState.FAILED
        if start.state.is_ended and not failed:
            continue
        if case.is_newer(start):
            if start.state is OnboardingState.NEEDS_DECISION or (case.has_come(start) and not failed):
                return case.to(Turn.AFTER, start)
            if failed and case.has_come(start):
                return _after_failed_start(case, start)
        elif not failed and start.event.day == day and case.employment.in_force and case.has_come(start):
            return case.to(Turn.AFTER, start)
    # The other job gives its licenses first, so that none goes in between.
    begun = [each for each in case.elsewhere if each.event.type is JOINER and case.has_come(each)]
    waits_for = [each for each in begun if not each.state.is_ended and each.working_since is None]
    return case.to(Turn.AFTER, waits_for[0]) if waits_for else None


def _after_failed_start(case: Case, start: OnboardingRecord) -> Judgement | None:
    """HR says that the person works, although nothing could be given."""
    if case.record.event.day <= start.event.day:
        return case.to(Turn.SUPERSEDED, start)
    return None if case.decided else case.to(Turn.ASK, start, ends.STARTED_AGAIN)


def _among_moves(case: Case) -> Judgement:
    """A newer move on or after the day of the end is asked about, and the end waits for the answer."""
    record, day = case.record, case.record.event.day
    over: list[OnboardingRecord] = []
    obsolete: list[OnboardingRecord] = []
    for move in case.open(MOVER):
        if case.starts_between(record.statement, move):
            continue
        older = record.stamp.is_newer_than(move.stamp)
        if not older and (move.state is OnboardingState.NEEDS_DECISION or move.event.day >= day):
            return case.to(Turn.AFTER, move)
        (obsolete if older and move.event.day >= day else over).append(move)
    for start in case.open(JOINER):
        if case.is_newer(start):
            continue
        if start.event.day <= day:
            over.append(start)
        elif start.event.employment_id and not case.employment.in_force:
            obsolete.append(start)
    return replace(case.to(Turn.NOW), replaces=(*_kin(case), *obsolete), supersedes=tuple(over))


def _waiting_for_writes(found: Judgement) -> Judgement:
    """An event that is being written at this moment is not ended before its writer has finished."""
    writing = [each for each in (*found.replaces, *found.supersedes, *found.asks) if each.is_being_written]
    return replace(found, turn=Turn.AFTER, other=writing[0].key) if writing and found.turn is Turn.NOW else found


def _never_started(case: Case, state: HrState | None) -> bool:
    """Whether it is a move in an employment without a start, although its source reports starts of the person. Then
    the start is still to come, or the employment is a wrong one."""
    record = case.record
    if record.event.type is not MOVER or case.decided or case.employment != NO_EMPLOYMENT or case.of(JOINER):
        return False
    known = state.employments if state is not None else {}
    return any(each.event.source == record.event.source for each in case.elsewhere if each.event.type is JOINER) or any(
        name != case.name and each.start is not None and record.event.can_be_about(name) for name, each in known.items()
    )


def _is_alone(case: Case, state: HrState | None) -> bool:
    if state is not None and state.others(case.name):
        return False
    return not any(
        each.event.type is JOINER
        and (not each.state.is_ended or each.state is OnboardingState.FAILED)
        and case.has_come(each)
        for each in case.elsewhere
    )
