"""Numbers are told by their looks, compared under one name, and never rewritten."""

from __future__ import annotations

import phonenumbers
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ventros_pipeline.transform import phones


@pytest.mark.parametrize(
    ("address", "phone"),
    [
        ("5511980000001@c.us", "+5511980000001"),
        ("551180000001@c.us", "+551180000001"),  # libphonenumber calls it invalid
        ("5520980000001@c.us", "+5520980000001"),
        ("5215512345678@c.us", "+5215512345678"),  # ... and this one impossible
        ("5491123456789@c.us", "+5491123456789"),
        ("12025550123@c.us", "+12025550123"),
        ("43664123450001@c.us", "+43664123450001"),  # 14 digits, a mobile number in Austria
        ("5511980000001@lid", None),
        ("210000000000001@lid", None),
        ("235085806727321@c.us", None),  # a LID
        ("62000000000001@c.us", None),  # a LID as long as some numbers of Indonesia
        ("120363000000000001@g.us", None),
        ("5511980000001-1500000000@g.us", None),
        ("0@c.us", None),
        ("12345@c.us", None),
        ("05511980000001@c.us", None),
        ("٥٥١١٩٨٠٠٠٠٠٠١@c.us", None),
        ("abc@c.us", None),
        ("@c.us", None),
        ("5511980000001", None),
    ],
)
def test_a_phone_number_comes_from_a_phone_address_and_from_nothing_else(
    address: str, phone: str | None
) -> None:
    assert phones.phone_of(address) == phone
    assert (phones.line_of(address) is None) is (phone is None)


@pytest.mark.parametrize(
    ("address", "is_suspected"),
    [
        ("235085806727321@c.us", True),
        ("62000000000001@c.us", True),
        ("2100000000001@c.us", True),
        ("235085806727321@lid", False),
        ("5511980000001@c.us", False),
        ("43664123450001@c.us", False),
        ("0@c.us", False),
        ("12345@c.us", False),
        ("210000000001@c.us", False),  # 12 digits: junk
        ("05511980000001@c.us", False),
        ("120363000000000001@g.us", False),
    ],
)
def test_too_many_digits_for_a_phone_are_a_lid_and_too_few_are_nothing(
    address: str, is_suspected: bool
) -> None:
    assert phones.is_suspected_lid(address) is is_suspected


@pytest.mark.parametrize("first", "689")
def test_a_mobile_number_of_brazil_is_one_line_with_and_without_the_ninth_digit(first: str) -> None:
    short, long = f"+5511{first}0000001", f"+55119{first}0000001"
    assert phones.line_of(f"{short[1:]}@c.us") == phones.line_of(f"{long[1:]}@c.us") == long
    assert phones.candidates(short) == (short, long)
    assert phones.candidates(long) == (long, short)


@pytest.mark.parametrize("first", "2345")
def test_a_landline_of_brazil_is_never_a_mobile_number(first: str) -> None:
    short, long = f"5511{first}0000001@c.us", f"55119{first}0000001@c.us"
    assert phones.line_of(short) != phones.line_of(long)
    assert not phones.may_be_one_line(short, long)
    assert phones.candidates("+" + short[:12]) == ("+" + short[:12],)


def test_a_brazilian_seven_is_two_lines_that_may_be_one() -> None:
    short, long = "551170000001@c.us", "5511970000001@c.us"
    assert phones.line_of(short) != phones.line_of(long)
    assert phones.may_be_one_line(short, long)
    assert not phones.may_be_one_line(short, "5511970000002@c.us")
    assert phones.candidates("+551170000001") == ("+551170000001",)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("525512345678@c.us", "5215512345678@c.us"),
        ("541123456789@c.us", "5491123456789@c.us"),
        ("543514000001@c.us", "5493514000001@c.us"),
    ],
)
def test_the_mobile_prefixes_of_mexico_and_argentina_do_not_make_another_line(
    one: str, other: str
) -> None:
    assert phones.line_of(one) == phones.line_of(other)
    assert phones.may_be_one_line(one, other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("552080000001@c.us", "5520980000001@c.us"),  # no such area code
        ("551180000001@c.us", "5521980000001@c.us"),
        ("525512345678@c.us", "5215512345679@c.us"),
        ("541123456789@c.us", "5493511234567@c.us"),
        ("56980000001@c.us", "5680000001@c.us"),  # Chile
        ("11980000001@c.us", "5511980000001@c.us"),
        ("0@c.us", "0@c.us"),
        ("210000000000001@lid", "210000000000001@lid"),
    ],
)
def test_what_only_looks_alike_is_not_one_line(one: str, other: str) -> None:
    assert not phones.may_be_one_line(one, other)


def test_the_area_codes_are_those_of_libphonenumber() -> None:
    for area in range(100):
        number = phonenumbers.parse(f"+55{area:02}980000001")
        is_real = len(phones.candidates(f"+55{area:02}980000001")) == 2
        assert is_real is phonenumbers.is_valid_number(number), area


@pytest.mark.parametrize(
    ("phone", "text"),
    [
        ("+5511980000001", "+55 11 98000-0001"),
        ("+551180000001", "+55 11 8000-0001"),
        ("+551130000001", "+55 11 3000-0001"),
        ("+12025550123", "+1 202-555-0123"),
        ("+5215512345678", "+5215512345678"),
        ("+235085806727321", "+235085806727321"),
        ("+0", "+0"),
        ("+", "+"),
    ],
)
def test_a_number_is_shown_as_people_write_it(phone: str, text: str) -> None:
    assert phones.formatted(phone) == text


@given(st.text("0123456789", max_size=18))
def test_no_digit_is_ever_changed(digits: str) -> None:
    phone, address = phones.phone_of(f"{digits}@c.us"), f"{digits}@c.us"
    assert phone in (None, f"+{digits}")
    assert not (phone and phones.is_suspected_lid(address))
    assert "".join(c for c in phones.formatted(f"+{digits}") if c.isdigit()) == digits
    if phone:
        spellings = phones.candidates(phone)
        assert spellings[0] == phone
        assert {phones.line_of(f"{s[1:]}@c.us") for s in spellings} == {phones.line_of(address)}
