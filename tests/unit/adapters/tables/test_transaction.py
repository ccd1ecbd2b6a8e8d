"""Transactions on the wire: what is sent for each kind of operation, and what each kind of answer means."""

from __future__ import annotations

import json

import pytest

from shared.adapters.tables.rows import Op, Row
from shared.adapters.tables.transaction import entity_json, etags, request_body
from shared.domain.errors import BadRequest, Conflict, LicensingError, NotFound, Unavailable

URL = "https://account.table.core.windows.net/gblledger"
DONE = "HTTP/1.1 204 No Content\r\nContent-ID: {n}\r\nETag: W/\"datetime'{n}'\"\r\n\r\n"
GONE = "HTTP/1.1 204 No Content\r\nContent-ID: {n}\r\nCache-Control: no-cache\r\n\r\n"


def row(key: str, **values: object) -> Row:
    return {"PartitionKey": "p", "RowKey": key, **values}


def answer(*parts: str) -> bytes:
    inside = "".join(
        f"--changesetresponse_1\r\nContent-Type: application/http\r\n\r\n{part.format(n=n)}\r\n"
        for n, part in enumerate(parts)
    )
    whole = f"--batchresponse_1\r\nContent-Type: multipart/mixed; boundary=changesetresponse_1\r\n\r\n{inside}"
    return f"{whole}--changesetresponse_1--\r\n--batchresponse_1--\r\n".encode()


def failed(status: int, code: str, text: str) -> str:
    body = json.dumps({"odata.error": {"code": code, "message": {"lang": "en-US", "value": text}}})
    return f"HTTP/1.1 {status} Refused\r\nContent-Type: application/json\r\n\r\n{body}".replace("{", "{{").replace(
        "}", "}}"
    )


@pytest.mark.parametrize(
    ("op", "first", "header"),
    [
        (Op("create", row("a")), f"POST {URL} HTTP/1.1", "Prefer: return-no-content"),
        (Op("upsert", row("a")), f"PUT {URL}(PartitionKey='p',RowKey='a') HTTP/1.1", None),
        (Op("replace", row("a"), 'W/"1"'), f"PUT {URL}(PartitionKey='p',RowKey='a') HTTP/1.1", 'If-Match: W/"1"'),
        (Op("delete", row("a")), f"DELETE {URL}(PartitionKey='p',RowKey='a') HTTP/1.1", "If-Match: *"),
        (Op("upsert", row("o'b c")), f"PUT {URL}(PartitionKey='p',RowKey='o''b%20c') HTTP/1.1", None),
    ],
)
def test_each_operation_is_a_request_of_its_own(op: Op, first: str, header: str | None) -> None:
    text = request_body(URL, "batch_1", [op]).decode()
    lines = text.split("\r\n")
    assert first in lines
    assert [line for line in lines if line.startswith(("If-Match", "Prefer"))] == ([header] if header else [])
    assert text.startswith("--batch_1\r\n") and text.endswith("--batch_1--\r\n")


def test_values_keep_their_type_and_none_is_left_out() -> None:
    sent = json.loads(entity_json(row("a", text="é\n", yes=True, number=7, data=b"\x00\xff", nothing=None)))
    assert sent == {
        "PartitionKey": "p",
        "RowKey": "a",
        "text": "é\n",
        "yes": True,
        "number": 7,
        "data": "AP8=",
        "data@odata.type": "Edm.Binary",
    }


@pytest.mark.parametrize("value", [2**31, 1.5, ["a"], {"a": 1}])
def test_a_value_the_service_would_take_for_something_else_is_rejected_by_name(value: object) -> None:
    with pytest.raises(TypeError, match="size of a row"):
        entity_json(row("a", size=value))


def test_each_operation_has_its_etag_and_a_deletion_none() -> None:
    assert etags(202, answer(DONE, GONE, DONE), "t", 3) == ["W/\"datetime'0'\"", "", "W/\"datetime'2'\""]


@pytest.mark.parametrize(
    ("status", "code", "meant"),
    [
        (412, "UpdateConditionNotSatisfied", Conflict),
        (409, "EntityAlreadyExists", Conflict),
        (404, "ResourceNotFound", NotFound),
        (400, "PropertyValueTooLarge", BadRequest),
        (413, "RequestBodyTooLarge", BadRequest),
        (403, "AuthorizationPermissionMismatch", Unavailable),
        (503, "ServerBusy", Unavailable),
    ],
)
def test_a_rejected_operation_rejects_all_whether_alone_or_as_the_whole_answer(
    status: int, code: str, meant: type[LicensingError]
) -> None:
    part = failed(status, code, "1:No.\nRequestId:x")
    with pytest.raises(meant, match="table t"):
        etags(202, answer(part), "t", 2)
    alone = part.partition("\r\n\r\n")[2].replace("{{", "{").replace("}}", "}").encode()
    with pytest.raises(meant, match="table t"):
        etags(status, alone, "t", 2)


@pytest.mark.parametrize("body", [b"", answer(DONE), answer(DONE, DONE, DONE), b"<html>202</html>"])
def test_an_answer_that_does_not_fit_the_operations_is_no_success(body: bytes) -> None:
    with pytest.raises(Unavailable, match="answers to 2 operations"):
        etags(202, body, "t", 2)


def test_a_rejection_by_something_else_than_the_service_is_unavailable() -> None:
    with pytest.raises(Unavailable, match="table t: 502"):
        etags(502, b"<html>Bad gateway</html>", "t", 1)
