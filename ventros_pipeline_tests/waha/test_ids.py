from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ventros_pipeline.waha.ids import AddressKind, MessageId, kind_of, normalise, parse_message_id


@pytest.mark.parametrize(
    ("given_form", "normal_form"),
    [
        ("5511988887777@s.whatsapp.net", "5511988887777@c.us"),
        ("5511988887777:12@s.whatsapp.net", "5511988887777@c.us"),
        ("5511988887777_1:2@S.WhatsApp.Net", "5511988887777@c.us"),
        ("5511988887777@C.US", "5511988887777@c.us"),
        ("5511988887777", "5511988887777@c.us"),
        ("+5511988887777", "5511988887777@c.us"),
        (" 5511988887777@c.us ", "5511988887777@c.us"),
        ("199900000000001:7@lid", "199900000000001@lid"),
        ("199900000000001@hosted.lid", "199900000000001@lid"),
        ("5511988887777-1500000000@g.us", "5511988887777-1500000000@g.us"),
        ("status@broadcast", "status@broadcast"),
        ("abc", "abc"),
        ("", None),
        ("@c.us", None),
    ],
)
def test_an_address_has_one_normal_form(given_form: str, normal_form: str | None) -> None:
    assert normalise(given_form) == normal_form


@given(st.text())
def test_the_normal_form_is_a_fixed_point(text: str) -> None:
    once = normalise(text)
    if once is not None:
        kind_of(once)
        assert once.startswith("@") or normalise(once) is None or normalise(once) == once


@pytest.mark.parametrize(
    ("address", "kind"),
    [
        ("5511988887777@c.us", AddressKind.PERSON),
        ("199900000000001@lid", AddressKind.LID),
        ("120363000000000001@g.us", AddressKind.GROUP),
        ("120363000000000001@newsletter", AddressKind.NEWSLETTER),
        ("1500000000@broadcast", AddressKind.BROADCAST),
        ("status@broadcast", AddressKind.STATUS),
        ("867051314767696@bot", AddressKind.BOT),
        ("13135550002@meta.ai", AddressKind.BOT),
        ("0@c.us", AddressKind.NULL),
        ("abc", AddressKind.UNKNOWN),
        ("x@call", AddressKind.UNKNOWN),
    ],
)
def test_an_address_tells_its_kind(address: str, kind: AddressKind) -> None:
    assert kind_of(address) is kind


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("true_5511988887777@c.us_3EB0A", (True, "5511988887777@c.us", "3EB0A", None)),
        (
            "false_120363000000000001@g.us_3A_B_C_5511988887777:3@s.whatsapp.net",
            (False, "120363000000000001@g.us", "3A_B_C", "5511988887777@c.us"),
        ),
        (
            "false_status@broadcast_AC09_5511988887777@c.us",
            (False, "status@broadcast", "AC09", "5511988887777@c.us"),
        ),
        ("true_199900000000001@lid_a_b", (True, "199900000000001@lid", "a_b", None)),
        ("3EB0A", (None, None, "3EB0A", None)),
        ("third_party_id", (None, None, "third_party_id", None)),
        ("", (None, None, "", None)),
    ],
)
def test_a_message_id_is_split_and_a_bare_one_is_a_stanza(
    text: str, parts: tuple[bool | None, str | None, str, str | None]
) -> None:
    assert parse_message_id(text) == MessageId(*parts)


@given(st.text())
def test_no_text_breaks_the_id_parser(text: str) -> None:
    parse_message_id(text)
