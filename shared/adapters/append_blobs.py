"""The log of digests in Azure Blob Storage: append blobs in the container `audit` of the data account.

The identity can read blobs and append to them, and nothing else (infra/modules/storage.bicep). In Azure the container
exists and has an immutability policy; an emulator's container is made on first use.
"""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from shared.domain.errors import Conflict, Unavailable

if TYPE_CHECKING:
    from azure.core.credentials_async import AsyncTokenCredential
    from azure.storage.blob.aio import ContainerClient

T = TypeVar("T")

CONTAINER = "audit"
RETRY_AFTER_S = 30
POSITION_NOT_MET = 412
"""The status for a block that does not begin at the end of the blob
(learn.microsoft.com/rest/api/storageservices/append-block, AppendPositionConditionNotMet)."""

INVALID_RANGE = 416
"""The status for a range that begins behind the end of a blob
(learn.microsoft.com/rest/api/storageservices/get-blob)."""


@dataclass(frozen=True, slots=True)
class BlobsConfig:
    """Either a connection string that names a BlobEndpoint, or an endpoint with a credential."""

    connection_string: str | None = None
    endpoint: str | None = None
    credential: AsyncTokenCredential | None = None
    timeout_s: float = 10.0


class AppendBlobs:
    """Implements DigestLog; the SDK is imported on first use."""

    def __init__(self, config: BlobsConfig) -> None:
        self._config = config
        self._client: ContainerClient | None = None

    async def read(self, name: str, start: int = 0) -> bytes | None:
        from azure.core.exceptions import HttpResponseError, ResourceNotFoundError

        async def whole() -> bytes | None:
            blob = self._container().get_blob_client(name)
            try:
                return await (await blob.download_blob(offset=start)).readall() if start else await _all(blob)
            except ResourceNotFoundError:
                return None
            except HttpResponseError as fault:
                if fault.status_code == INVALID_RANGE:
                    return b""
                raise

        return await _translated(whole(), name)

    async def append(self, name: str, data: bytes, position: int) -> None:
        from azure.core import MatchConditions

        blob = self._container().get_blob_client(name)
        if position == 0:
            await self._make_container()
            await _translated(blob.create_append_blob(match_condition=MatchConditions.IfMissing), name, exists=True)
        await _translated(blob.append_block(data, appendpos_condition=position), name)

    async def _make_container(self) -> None:
        from azure.core.exceptions import ResourceExistsError

        if self._config.connection_string:
            try:
                await _translated(self._container().create_container(), CONTAINER)
            except Conflict as fault:
                if not isinstance(fault.__cause__, ResourceExistsError):
                    raise

    def _container(self) -> ContainerClient:
        from azure.storage.blob.aio import ContainerClient

        if self._client is None:
            options: dict[str, Any] = {
                "retry_total": 3,
                "connection_timeout": self._config.timeout_s,
                "read_timeout": self._config.timeout_s,
            }
            if self._config.connection_string:
                if "BlobEndpoint=" not in self._config.connection_string:
                    raise Unavailable(RETRY_AFTER_S, "TablesConnection names no BlobEndpoint for the digests")
                self._client = ContainerClient.from_connection_string(
                    self._config.connection_string, CONTAINER, **options
                )
            else:
                self._client = ContainerClient(
                    self._config.endpoint or "", CONTAINER, credential=self._config.credential, **options
                )
        return self._client

    async def close(self) -> None:
        """Close the connections."""
        if self._client is not None:
            await self._client.close()
            self._client = None


async def _all(blob: Any) -> bytes:
    data: bytes = await (await blob.download_blob()).readall()
    return data


async def _translated(call: Awaitable[T], name: str, *, exists: bool = False) -> T | None:
    """The result of an SDK call; its exceptions become ours, chained. `exists`: one that is there is no error."""
    from azure.core.exceptions import AzureError, HttpResponseError, ResourceExistsError, ResourceModifiedError

    try:
        return await call
    except (ResourceExistsError, ResourceModifiedError) as fault:
        if exists:
            return None
        raise Conflict(f"blob {name}: it has another length than was read") from fault
    except HttpResponseError as fault:
        if fault.status_code == POSITION_NOT_MET:
            raise Conflict(f"blob {name}: it has another length than was read") from fault
        raise Unavailable(RETRY_AFTER_S, f"blob {name}: {str(fault).splitlines()[0][:200]}") from fault
    except (AzureError, OSError, TimeoutError) as fault:
        raise Unavailable(RETRY_AFTER_S, f"blob {name}: {str(fault).splitlines()[0][:200]}") from fault
