"""The log of digests in Azurite's blob service."""

from __future__ import annotations

from pathlib import Path

import pytest

from shared.adapters.append_blobs import AppendBlobs, BlobsConfig
from shared.domain.errors import Conflict, Unavailable
from tests.integration.azurite import running_blobs


async def test_blobs_are_appended_at_their_end_only_and_read_from_any_byte(tmp_path: Path) -> None:
    with running_blobs(tmp_path) as connection:
        log, other = AppendBlobs(BlobsConfig(connection)), AppendBlobs(BlobsConfig(connection))
        try:
            assert await log.read("202611.jsonl") is None
            await log.append("202611.jsonl", b"one\n", 0)
            await other.append("202611.jsonl", b"two\n", 4)
            for position in (0, 4, 9):
                with pytest.raises(Conflict):
                    await log.append("202611.jsonl", b"lost\n", position)
            await other.append("202612.jsonl", b"x" * 3_000_000, 0)
            assert await log.read("202611.jsonl") == b"one\ntwo\n"
            assert await log.read("202611.jsonl", 4) == b"two\n"
            assert await log.read("202611.jsonl", 50) == b""
            assert len(await log.read("202612.jsonl", 1_000_000) or b"") == 2_000_000
        finally:
            await log.close()
            await other.close()


async def test_a_service_that_is_away_and_a_connection_without_blobs_are_named() -> None:
    away = AppendBlobs(
        BlobsConfig("DefaultEndpointsProtocol=http;AccountName=a;AccountKey=eA==;BlobEndpoint=http://127.0.0.1:9/a;")
    )
    try:
        with pytest.raises(Unavailable, match="202611"):
            await away.read("202611.jsonl")
    finally:
        await away.close()
    with pytest.raises(Unavailable, match="BlobEndpoint"):
        await AppendBlobs(BlobsConfig("AccountName=a;AccountKey=eA==;TableEndpoint=http://127.0.0.1:9/a;")).read("x")
