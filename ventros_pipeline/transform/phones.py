"""Telephone numbers in WhatsApp addresses: which digits are a number, and which numbers one line.

What belongs here: what can be told from the looks of an address alone. What does not: evidence, and
who is whose person (`identity.py`). Nothing here changes an address: a number is compared under the
name of its line and kept as WhatsApp spells it. Rewriting stored numbers is what made duplicates in
waha#1516, and sending to a rewritten one fails in silence (waha#2120).
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

import phonenumbers
from phonenumbers import PhoneNumber, PhoneNumberFormat

PHONE_SUFFIX = "@c.us"

# Brazil gave its mobile numbers a ninth digit, and WhatsApp keeps an old account under eight (12
# digits in all). The area codes are those of libphonenumber; they are written down because whose
# line a number is must not change when a library is renewed (a test says when they differ).
_BRAZIL = re.compile(
    r"55([14689][1-9]|2[12478]|3[1-578]|5[13-5]|7[13-579])(9?)(\d)(\d{7})", re.ASCII
)
# Mexico wrote a 1 before mobile numbers until 2019, and Argentina writes a 9; WhatsApp has both.
_MEXICO = re.compile(r"52(1?)([2-9]\d{9})", re.ASCII)
_ARGENTINA = re.compile(r"54(9?)(11\d{8}|[23]\d{9})", re.ASCII)

# Eight digits that begin so were mobile numbers and got the 9. With 2 to 5 they are landlines.
_GOT_THE_NINTH = "689"
# Eight digits that begin with 7 are a mobile number of old or a number of today without a 9.
_MAY_HAVE_GOT_IT = "7"

# Shorter digits under @c.us that are no phone are junk (`0@c.us`, service codes), not LIDs.
_LID_DIGITS = re.compile(r"[1-9]\d{12,}", re.ASCII)
# A number so long must be valid, not only of a possible length: of random LIDs of 14 and 15 digits
# 22 % are possible as phones and 1 % valid. The forms that libphonenumber rejects although WhatsApp
# uses them (nyaruka/courier#433) are all shorter.
_LONG = 14

_CACHED = 131_072


class _Line(NamedTuple):
    """The line of a number.

    Attributes:
        name: E.164 in the longest spelling; two numbers with one name are certainly one line.
        stem: the same for two numbers that may be one line.
        spellings: all E.164 spellings of what is certainly this line.
    """

    name: str
    stem: str
    spellings: tuple[str, ...]


def phone_of(address: str) -> str | None:
    """Return the number of a phone address in E.164, its digits exactly as they stand there.

    Args:
        address: normalised (`5511980000001@c.us`).

    Returns:
        `+` and the digits; None for any other kind of address, and for digits that cannot be a
        phone. A LID is never a phone number, however much its digits look like one
        (fazer-ai/chatwoot#419).
    """
    digits = address.removesuffix(PHONE_SUFFIX)
    return f"+{digits}" if address.endswith(PHONE_SUFFIX) and _can_be_phone(digits) else None


def is_suspected_lid(address: str) -> bool:
    """Return whether a phone address must hold a LID: too many digits for a phone (waha#1419).

    LIDs have about 14 or 15 digits. Thirteen or more that cannot be a phone are taken for one;
    fewer are junk and stay nobody's.
    """
    digits = address.removesuffix(PHONE_SUFFIX)
    return (
        address.endswith(PHONE_SUFFIX)
        and _LID_DIGITS.fullmatch(digits) is not None
        and not _can_be_phone(digits)
    )


def line_of(address: str) -> str | None:
    """Return the name of an address's telephone line; None where there is no phone.

    Two addresses with one name are certainly one line. Numbers with different names may still be
    one (`may_be_one_line`).
    """
    phone = phone_of(address)
    return _line(phone).name if phone else None


def may_be_one_line(one: str, other: str) -> bool:
    """Return whether two addresses are one line, or may be: the two forms of a Brazilian 7 number.

    `+55 11 7000-0001` may be `+55 11 97000-0001` in the spelling of its account or a number of its
    own, so that WAHA's rule (a 9 for everything but 2 to 5) joins strangers. It needs proof.
    """
    stem = stem_of(one)
    return stem is not None and stem == stem_of(other)


def stem_of(address: str) -> str | None:
    """Return what an address shares with all that may be its line; None where there is no phone."""
    phone = phone_of(address)
    return _line(phone).stem if phone else None


def candidates(phone: str) -> tuple[str, ...]:
    """Return every spelling of what is certainly one line, the given one first.

    Args:
        phone: E.164, such as `+5511980000001`.
    """
    others = (spelling for spelling in _line(phone).spellings if spelling != phone)
    return (phone, *others)


def formatted(phone: str) -> str:
    """Return a number as people write it.

    Args:
        phone: E.164, such as `+5511980000001`.

    Returns:
        `+55 11 98000-0001`, always with the same digits; the E.164 itself where nobody knows how
        the number is written.
    """
    if (brazil := _BRAZIL.fullmatch(phone[1:])) and not brazil[2]:
        # The library takes a mobile number of eight digits for a mistake and does not group it.
        area, _, first, rest = brazil.groups()
        return f"+55 {area} {first}{rest[:3]}-{rest[3:]}"
    number = _parsed(phone)
    if number is None or not phonenumbers.is_possible_number(number):
        return phone
    text = phonenumbers.format_number(number, PhoneNumberFormat.INTERNATIONAL)
    # Parsing drops what it takes for a national prefix, such as the 15 in Argentina.
    return text if re.sub(r"\D", "", text) == phone[1:] else phone


@lru_cache(_CACHED)
def _line(phone: str) -> _Line:
    digits = phone[1:]
    if found := _BRAZIL.fullmatch(digits):
        area, _, first, rest = found.groups()
        short, long = f"+55{area}{first}{rest}", f"+55{area}9{first}{rest}"
        if first in _GOT_THE_NINTH:
            return _Line(long, long, (long, short))
        return _Line(phone, long if first in _MAY_HAVE_GOT_IT else phone, (phone,))
    for country, prefix, pattern in (("52", "1", _MEXICO), ("54", "9", _ARGENTINA)):
        if found := pattern.fullmatch(digits):
            short, long = f"+{country}{found[2]}", f"+{country}{prefix}{found[2]}"
            return _Line(long, long, (long, short))
    return _Line(phone, phone, (phone,))


@lru_cache(_CACHED)
def _can_be_phone(digits: str) -> bool:
    if _BRAZIL.fullmatch(digits) or _MEXICO.fullmatch(digits) or _ARGENTINA.fullmatch(digits):
        return True
    number = _parsed(f"+{digits}") if digits.isascii() and digits.isdigit() else None
    if number is None or not phonenumbers.is_possible_number(number):
        return False
    return len(digits) < _LONG or phonenumbers.is_valid_number(number)


def _parsed(phone: str) -> PhoneNumber | None:
    try:
        return phonenumbers.parse(phone)
    except phonenumbers.NumberParseException:
        return None
