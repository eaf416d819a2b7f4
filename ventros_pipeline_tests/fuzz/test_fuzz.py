"""Every law against what once broke it, against samples, and against random bytes."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings

from ventros_pipeline.waha.envelope import envelope_of
from ventros_pipeline.waha.jsontext import split_array
from ventros_pipeline.waha.secrets import strip_secrets
from ventros_pipeline.waha.wire import decode_rows
from ventros_pipeline_tests.fuzz.inputs import ANYTHING
from ventros_pipeline_tests.fuzz.laws import LAWS, OWN
from ventros_pipeline_tests.fuzz.seeds import samples


@pytest.mark.parametrize("law", LAWS)
def test_the_law_holds_for_every_seed_and_for_seeds_with_a_few_bytes_changed(law: str) -> None:
    dice = random.Random(law)  # noqa: S311 -- no secret
    for data in samples(law):
        LAWS[law](data)
        for _ in range(5):
            LAWS[law](mutated(data, dice))


@pytest.mark.parametrize("law", LAWS)
@given(data=ANYTHING)
@settings(max_examples=60, deadline=None)
def test_the_law_holds_for_anything_drawn(law: str, data: bytes) -> None:
    LAWS[law](data)


@pytest.mark.parametrize("opened", [b"[", b'{"a":', b'{"thumbnail":[', b'{"_data":{"message":['])
def test_nesting_a_million_deep_is_one_row_that_is_rejected(opened: bytes) -> None:
    bomb = opened * 1_000_000
    stripped = strip_secrets(bomb)
    assert envelope_of(stripped).row_key.startswith("sha256:")
    assert len(decode_rows([stripped], OWN).rejected) == 1
    assert split_array(b"[1,%s1%s,2]" % (b"[" * 1_000_000, b"]" * 1_000_000))[0] == b"1"


def test_a_page_of_a_hundred_megabytes_is_cut_and_decoded() -> None:
    body = ("ação " * 1_000 + "\\ud83d") * 130
    row = b'{"id":"false_5511980000001@c.us_3EB0","timestamp":1,"body":"%s"}' % body.encode()
    page = b"[" + b",".join([row] * 160) + b"]"
    assert len(page) > 100_000_000
    rows = split_array(page)
    assert [len(found) for found in rows] == [len(row)] * 160
    decoded = decode_rows([strip_secrets(found) for found in rows], OWN)
    assert decoded.frame.height == 160


@pytest.mark.parametrize(
    "number", [b"9" * 1_000_000, b"1e999999", b"-" + b"9" * 400, b"0." + b"1" * 100_000]
)
def test_a_number_of_any_length_costs_its_row_at_most(number: bytes) -> None:
    row = b'{"id":"false_5511980000001@c.us_3EB0","timestamp":%s,"ack":%s}' % (number, number)
    decoded = decode_rows([row], OWN)
    assert decoded.frame.height + len(decoded.rejected) == 1
    envelope_of(row)


def mutated(data: bytes, dice: random.Random) -> bytes:
    """Return bytes with a few of them changed, doubled or dropped."""
    changed = bytearray(data)
    for _ in range(dice.randrange(1, 4)):
        if not changed:
            break
        place = dice.randrange(len(changed))
        match dice.randrange(3):
            case 0:
                changed[place] = dice.choice(b'"\\{}[],:0u\x00\xff@_')
            case 1:
                del changed[place : place + dice.randrange(1, 9)]
            case 2:
                changed[place:place] = changed[place : place + dice.randrange(1, 60)]
    return bytes(changed)
