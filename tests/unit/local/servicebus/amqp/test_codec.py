"""AMQP values: bytes as the specification has them, round trips, the client's codec as second opinion, bad bytes."""

from __future__ import annotations

import string
from typing import Any
from uuid import UUID

import pytest
from azure.servicebus._pyamqp import _decode as client_decoding
from azure.servicebus._pyamqp._encode import encode_payload
from azure.servicebus._pyamqp.message import Header, Message, Properties
from hypothesis import given
from hypothesis import strategies as st

from local.servicebus.amqp.codec import MAX_ARRAY, decode, encode, sections, skip
from local.servicebus.amqp.types import (
    Array,
    Byte,
    DecodeError,
    Described,
    Double,
    Float,
    Int,
    Long,
    Raw,
    Short,
    Symbol,
    Timestamp,
    UByte,
    UInt,
    ULong,
    UShort,
)
from local.servicebus.message import parse

SOME_UUID = UUID("00112233-4455-6677-8899-aabbccddeeff")

GOLDEN: list[tuple[Any, str]] = [
    (None, "40"),
    (True, "41"),
    (False, "42"),
    (UByte(7), "5007"),
    (UShort(258), "600102"),
    (UInt(0), "43"),
    (UInt(255), "52ff"),
    (UInt(256), "7000000100"),
    (ULong(0), "44"),
    (ULong(0x75), "5375"),
    (ULong(2**64 - 1), "80ffffffffffffffff"),
    (Byte(-1), "51ff"),
    (Short(-2), "61fffe"),
    (Int(-1), "71ffffffff"),
    (Long(1), "810000000000000001"),
    (Timestamp(1000), "8300000000000003e8"),
    (Float(1.5), "723fc00000"),
    (Double(1.5), "823ff8000000000000"),
    (Raw(0x73, b"\x00\x00\x00A"), "7300000041"),
    (SOME_UUID, "9800112233445566778899aabbccddeeff"),
    (b"\x01\x02", "a0020102"),
    ("né", "a1036ec3a9"),
    (Symbol("amqp"), "a304616d7170"),
    ([], "45"),
    ([True, None], "c0030241" + "40"),
    ({"a": None}, "c10502a1016140"),
    (Described(ULong(0x24), []), "00532445"),
    (Array((Symbol("a"), Symbol("b"))), "f00000000f00000002b3" + "0000000161" + "0000000162"),
    (Array(()), "f000000004" + "00000000"),
]

SHORT_FORMS: list[tuple[str, Any]] = [
    ("54ff", Int(-1)),
    ("5501", Long(1)),
    ("5601", True),
    ("5600", False),
    ("e0040254" + "0102", Array((Int(1), Int(2)))),
    ("e00200" + "40", Array(())),
    ("e001" + "00", Array(())),
    ("b000000002" + "0102", b"\x01\x02"),
    ("d00000000500000001" + "41", [True]),
    ("e0050100532445", Array((Described(ULong(0x24), []),))),
]


@pytest.mark.parametrize(("value", "expected"), GOLDEN, ids=lambda each: str(each)[:30])
def test_a_value_has_the_bytes_of_the_specification_and_back(value: Any, expected: str) -> None:
    assert encode(value).hex() == expected
    decoded, end = decode(bytes.fromhex(expected))
    assert (decoded, type(decoded), end) == (value, type(value), len(expected) // 2)


@pytest.mark.parametrize(("given_bytes", "expected"), SHORT_FORMS)
def test_other_encodings_of_the_same_value_are_understood(given_bytes: str, expected: Any) -> None:
    data = bytes.fromhex(given_bytes)
    assert decode(data) == (expected, len(data))


def test_long_texts_and_lists_take_four_bytes_of_size() -> None:
    text, many = "x" * 256, [UInt(n) for n in range(300)]
    assert encode(text)[:5].hex() == "b100000100"
    assert encode(many)[0] == 0xD0
    assert decode(encode([text, many])) == ([text, many], len(encode([text, many])))


def integers(kind: type[int], bits: int, signed: bool) -> st.SearchStrategy[int]:
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    return st.integers(low, high).map(kind)


NUMBERS: list[st.SearchStrategy[Any]] = [
    *(integers(kind, bits, False) for kind, bits in ((UByte, 8), (UShort, 16), (UInt, 32), (ULong, 64))),
    *(integers(kind, bits, True) for kind, bits in ((Byte, 8), (Short, 16), (Int, 32), (Long, 64), (Timestamp, 64))),
    st.floats(allow_nan=False).map(Double),
    st.floats(allow_nan=False, width=32).map(Float),
]
SYMBOLS = st.text(string.ascii_letters + string.digits + ":-", max_size=300).map(Symbol)
PLAIN = [st.booleans(), st.text(max_size=300), st.binary(max_size=300), SYMBOLS, st.uuids(), *NUMBERS]
ARRAYS = st.one_of(*(st.lists(kind, max_size=4).map(lambda each: Array(tuple(each))) for kind in PLAIN))
SCALARS = st.one_of(st.none(), *PLAIN)
VALUES = st.recursive(
    st.one_of(SCALARS, ARRAYS),
    lambda inner: st.one_of(
        st.lists(inner, max_size=5),
        st.dictionaries(st.one_of(st.text(max_size=9), SYMBOLS), inner, max_size=5),
        st.lists(st.lists(inner, max_size=3), max_size=3).map(lambda each: Array(tuple(each))),
    ),
    max_leaves=12,
)


def typed(value: Any) -> Any:
    """The value with the types of all its parts, so that 1 as int and 1 as long differ."""
    match value:
        case list():
            return [typed(each) for each in value]
        case dict():
            return {(type(key), key): typed(each) for key, each in value.items()}
        case Array(values):
            return ("array", [typed(each) for each in values])
        case Described(descriptor, inner):
            return ("described", typed(descriptor), typed(inner))
        case _:
            return (type(value), value)


@given(VALUES)
def test_what_is_encoded_decodes_to_the_same_with_the_same_types(value: Any) -> None:
    data = encode(value)
    decoded, end = decode(data)
    assert typed(decoded) == typed(value)
    assert end == skip(data, 0) == len(data)


@given(SCALARS, SCALARS)
def test_a_described_value_keeps_its_descriptor(descriptor: Any, value: Any) -> None:
    described = Described(descriptor, Described(ULong(1), value))
    assert typed(decode(encode(described))[0]) == typed(described)


def as_client(value: Any) -> Any:
    """The value as the client's decoder gives it: texts as bytes, arrays as lists."""
    match value:
        case str():
            return value.encode()
        case list():
            return [as_client(each) for each in value]
        case Array(values):
            return [as_client(each) for each in values]
        case dict():
            return {as_client(key): as_client(each) for key, each in value.items()}
        case _:
            return value


@given(VALUES)
def test_the_client_reads_the_same_value_from_the_bytes(value: Any) -> None:
    data = memoryview(encode(value))
    rest, decoded = client_decoding._DECODE_BY_CONSTRUCTOR[data[0]](data[1:])
    assert len(rest) == 0
    assert decoded == as_client(value)


KEYS = st.text(string.ascii_letters, min_size=1, max_size=9)


@given(
    st.lists(st.binary(max_size=600), min_size=1, max_size=4),
    st.text(max_size=300),
    st.dictionaries(KEYS, st.one_of(st.text(max_size=9), st.booleans(), st.uuids()), min_size=1, max_size=4),
    st.one_of(st.none(), st.integers(0, 2**32 - 1)),
)
def test_a_message_of_the_client_is_cut_into_its_sections(
    bodies: list[bytes], message_id: str, fields: dict[str | bytes, Any], ttl: int | None
) -> None:
    sent = Message(
        header=Header(ttl=ttl, durable=True),
        properties=Properties(message_id=message_id),
        application_properties=fields,
        data=bodies,
    )
    data = bytes(encode_payload(bytearray(), sent))
    message = parse(data)
    assert message.message_id == message_id
    assert message.ttl_s == (None if ttl is None else ttl / 1000)
    assert [decode(message.body, start)[0].value for _, start, _ in sections(message.body)] == bodies
    assert decode(message.application)[0].value == fields


@given(VALUES, st.data())
def test_bytes_that_are_cut_off_are_rejected(value: Any, data: st.DataObject) -> None:
    whole = encode([value])
    cut = data.draw(st.integers(0, len(whole) - 1))
    with pytest.raises(DecodeError):
        decode(whole[:cut])


@given(st.binary(max_size=80))
def test_any_bytes_either_decode_or_are_rejected(data: bytes) -> None:
    for read in (decode, skip):
        try:
            read(data, 0)
        except DecodeError as rejection:
            assert rejection.condition == "amqp:decode-error"


@pytest.mark.parametrize(
    ("data", "what"),
    [
        ("ff", "unknown constructor 0xff"),
        ("c1020141", "key without a value"),
        ("c105024541" + "4040", "instead of"),
        ("c1030245" + "41", "unhashable"),
        ("f00000000a" + f"{MAX_ARRAY + 1:08x}" + "40" + "00" * 5, "the limit is"),
        ("d0000000ff" + "ffffffff", "elements in"),
        ("a102c328", "malformed"),
    ],
)
def test_hostile_bytes_are_rejected_with_what_is_wrong(data: str, what: str) -> None:
    with pytest.raises(DecodeError, match=what):
        decode(bytes.fromhex(data))


def test_values_nested_without_end_are_rejected() -> None:
    nested: Any = None
    for _ in range(70):
        nested = [nested]
    with pytest.raises(DecodeError, match="nested deeper"):
        decode(encode(nested))


@pytest.mark.parametrize("value", [1, 1.0, object(), {"a": 1}, [3], Array((UInt(1), "a"))])
def test_a_value_without_an_amqp_type_cannot_be_encoded(value: Any) -> None:
    with pytest.raises(TypeError):
        encode(value)
