"""Keys in the order of a number, some taken out early."""

from __future__ import annotations

from local.servicebus.agenda import Agenda


def test_an_agenda_gives_keys_by_number_and_forgets_what_was_taken_out() -> None:
    agenda: Agenda[str] = Agenda()
    for key, order in (("late", 3.0), ("early", 1.0), ("moved", 2.0), ("gone", 0.0), ("same", 3.0)):
        agenda.put(key, order)
    agenda.put("moved", 9.0)
    assert (agenda.discard("gone"), agenda.discard("gone")) == (True, False)
    assert agenda.first() == 1.0
    assert list(agenda.pop_until(3.0)) == ["early", "late", "same"]
    assert "moved" in agenda
    assert [agenda.pop(), agenda.pop(), agenda.first()] == ["moved", None, None]


def test_an_agenda_takes_no_more_memory_than_its_keys_need() -> None:
    agenda: Agenda[int] = Agenda()
    for number in range(10_000):
        agenda.put(number, number + 1_000_000.0)
        if number % 100:
            agenda.discard(number)
    assert len(agenda) == 100
    assert len(agenda._heap) <= 2 * 100 + 64 + 1
