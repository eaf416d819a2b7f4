from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ventros_pipeline.waha.jsontext import repair, split_array

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)
tokens = st.sampled_from(["\x00", "\ud83d", "\ude00", "\\", "u", "d83d", "0000", '"', "a", "🎉"])
any_text = st.text(st.characters(codec=None)) | st.lists(tokens).map("".join)


def test_a_zero_byte_is_removed_and_a_lone_surrogate_replaced() -> None:
    assert repair(rb'{"a":"x\u0000y\ud83d","b":"\ud83c\udf89"}') == (
        b'{"a":"xy' + rb"\ufffd" + rb'","b":"\ud83c\udf89"}'
    )


def test_an_escaped_backslash_before_letters_is_no_escape() -> None:
    raw = json.dumps({"a": r"\ud83d and \u0000"}).encode()
    assert repair(raw) == raw


def test_text_without_such_escapes_is_returned_as_it_is() -> None:
    raw = '{"a":"ção 🎉 \\u00e7"}'.encode()
    assert repair(raw) is raw


def test_bytes_that_are_not_utf8_become_replacement_characters() -> None:
    assert msgspec.json.decode(repair(b'"a\xff\xed\xa0\xbdb"')).startswith("a\ufffd")


@given(any_text)
def test_whatever_a_phone_typed_decodes_after_repair(text: str) -> None:
    decoded = msgspec.json.decode(repair(json.dumps(text).encode()))
    assert "\x00" not in decoded
    pairs = (
        json.loads(json.dumps(text)).encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    )
    assert decoded.replace("\ufffd", "") == pairs.replace("\x00", "").replace("\ufffd", "")


@given(st.lists(json_values))
def test_an_array_is_cut_into_its_elements(values: list[object]) -> None:
    for body in (
        json.dumps(values),
        json.dumps(values, indent=1),
        json.dumps(values, ensure_ascii=False),
    ):
        assert [json.loads(part) for part in split_array(body.encode())] == values


@pytest.mark.parametrize("body", [b"", b"{}", b"[1,2", b"[1]x", b"null"])
def test_what_is_no_array_is_not_cut(body: bytes) -> None:
    with pytest.raises(ValueError, match="array"):
        split_array(body)
