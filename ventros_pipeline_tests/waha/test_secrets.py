from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ventros_pipeline.waha.secrets import strip_secrets

SECRET_NAMES = ["mediaKey", "messageSecret", "jpegThumbnail", "JPEGThumbnail", "thumbnail"]
names = (
    st.sampled_from([*SECRET_NAMES, "mediaKeyTimestamp", "thumbnailUrl", "body", "a"]) | st.text()
)
texts = st.text() | st.sampled_from(
    ['"mediaKey":"x"', '{"mediaKey":"x"}', ',"thumbnail":{"a":1}', '\\","messageSecret":1']
)
values = st.recursive(
    st.none() | st.booleans() | st.integers(0, 9) | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=4),
)


def without_secrets(value: Any) -> Any:
    if isinstance(value, dict):
        lower = {name.lower() for name in SECRET_NAMES}
        return {k: None if k.lower() in lower else without_secrets(v) for k, v in value.items()}
    return [without_secrets(v) for v in value] if isinstance(value, list) else value


@given(values, st.booleans(), st.sampled_from([None, 1]))
def test_secrets_go_and_everything_else_stays(
    value: Any, ascii_only: bool, indent: int | None
) -> None:
    raw = json.dumps(value, ensure_ascii=ascii_only, indent=indent).encode()
    expected = without_secrets(value)
    assert json.loads(strip_secrets(raw)) == expected
    if expected == value:
        assert strip_secrets(raw) == raw


@given(values)
def test_stripping_twice_changes_nothing(value: Any) -> None:
    once = strip_secrets(json.dumps(value).encode())
    assert strip_secrets(once) == once


@pytest.mark.parametrize(
    "secret",
    [
        b'"abc="',
        b'{"type":"Buffer","data":"ab}c="}',
        b'{"0":12,"1":255}',
        b'{"0":{"0":12,"1":[1,2]},"x":"}\\"{"}',
        b"[1,[2,3]]",
        b"12",
        b"true",
        b'""',
    ],
)
def test_every_shape_of_a_secret_is_nulled_and_the_rest_kept_byte_for_byte(secret: bytes) -> None:
    raw = (
        b'{ "a":1.50, "mediaKey" : '
        + secret
        + b' ,"url":"x","n":[{"JPEGThumbnail":'
        + secret
        + b"}]}"
    )
    assert (
        strip_secrets(raw)
        == b'{ "a":1.50, "mediaKey" : null ,"url":"x","n":[{"JPEGThumbnail":null}]}'
    )


def test_text_that_names_a_secret_survives() -> None:
    raw = json.dumps({"body": 'send {"mediaKey":"x"} and ,"thumbnail":"y"'}).encode()
    assert strip_secrets(raw) == raw
