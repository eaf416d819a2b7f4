"""Payloads in quarantine at rest: sealed under a key, and open to whoever has one of the keys."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from ventros_pipeline.crm import sealing
from ventros_pipeline.settings import SettingsError, get_settings, keys_of

OLD, NEW = (base64.b64encode(bytes([n]) * 32).decode() for n in (7, 251))
UseKeys = Callable[..., None]


@pytest.fixture
def use_keys(monkeypatch: pytest.MonkeyPatch) -> Iterator[UseKeys]:
    def use(*keys: str) -> None:
        monkeypatch.setenv("VENTROS_QUARANTINE_KEY", ",".join(keys))
        get_settings.cache_clear()

    get_settings.cache_clear()
    yield use
    get_settings.cache_clear()


def test_a_sealed_payload_says_nothing_and_opens_to_the_same_text(use_keys: UseKeys) -> None:
    use_keys(NEW)
    kept = sealing.seal('{"body": "segredo", "odd": "\ud800"}')
    assert "segredo" not in kept
    assert sealing.open(kept) == '{"body": "segredo", "odd": "\ud800"}'
    assert sealing.seal("segredo") != sealing.seal("segredo")


def test_keys_are_changed_without_losing_what_the_old_one_sealed(use_keys: UseKeys) -> None:
    use_keys(OLD)
    kept = sealing.seal("antigo")
    use_keys(NEW, OLD)
    assert sealing.open(kept) == "antigo"
    fresh = sealing.seal("novo")
    use_keys(OLD)
    with pytest.raises(sealing.SealError, match="none of the keys"):
        sealing.open(fresh)


def test_what_was_kept_before_there_was_a_key_stays_readable(use_keys: UseKeys) -> None:
    kept = sealing.seal("claro")
    assert kept == "claro"
    use_keys(NEW)
    assert sealing.open(kept) == "claro"
    sealed = sealing.seal("escuro")
    get_settings.cache_clear()
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("VENTROS_QUARANTINE_KEY")
        with pytest.raises(sealing.SealError, match="is not set"):
            sealing.open(sealed)


@given(st.sampled_from(["", sealing.SEALED, sealing.PLAIN]), st.text())
def test_no_row_of_waha_is_taken_for_sealed(prefix: str, text: str) -> None:
    assert sealing.open(sealing.seal(prefix + text)) == prefix + text


@pytest.mark.parametrize("wrong", ["", "secret", NEW[:-4], f"{NEW},", f"{NEW},{NEW}x"])
def test_a_setting_that_is_no_key_stops_the_start_and_is_not_quoted(
    use_keys: UseKeys, wrong: str
) -> None:
    use_keys(wrong)
    with pytest.raises(SettingsError, match=r"VENTROS_QUARANTINE_KEY: key [12] is not") as caught:
        get_settings()
    assert not wrong or wrong not in str(caught.value)


def test_both_alphabets_of_base64_are_read() -> None:
    plain = base64.b64encode(b"\xfb\xff" * 16).decode()
    url_safe = plain.translate(str.maketrans("+/", "-_"))
    assert plain != url_safe
    assert keys_of(SecretStr(plain)) == keys_of(SecretStr(url_safe))
