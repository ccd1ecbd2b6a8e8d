"""Who may send which source: the setting, and what it may say."""

from __future__ import annotations

import pytest

from shared.domain.hr_senders import read_senders

APP, OTHER = "11111111-2222-4333-8444-555555555555", "21111111-2222-4333-8444-555555555555"


def test_the_setting_binds_each_source_to_client_ids_or_to_the_queue() -> None:
    text = f"urn:a {APP.upper()} {OTHER}, urn:b queue, urn:a queue"
    assert read_senders(text) == {"urn:a": frozenset({APP, OTHER, "queue"}), "urn:b": frozenset({"queue"})}
    assert read_senders(" ") is None
    assert read_senders("none") == {}


@pytest.mark.parametrize("text", ["urn:a", "urn:a someone", f"* {APP}", f"urn:a {APP}, urn:b"])
def test_a_part_without_a_sender_and_a_row_for_every_source_are_rejected(text: str) -> None:
    with pytest.raises(ValueError, match="ids of applications or people or the word queue"):
        read_senders(text)
