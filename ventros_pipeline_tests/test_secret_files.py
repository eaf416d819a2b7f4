"""Secrets that stand in files, as containers hand them over."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest
from pydantic import SecretStr

from ventros_pipeline.crm.channels import Channel
from ventros_pipeline.settings import Settings
from ventros_pipeline.variables import LARGEST, SecretFileError, secret_of

SECRETS = [name for name, field in Settings.model_fields.items() if "Secret" in str(field)]
VALUE = {"quarantine_key": "A" * 43 + "=", "alert_url": "https://hooks.example.com/a-secret"}


@pytest.mark.parametrize("name", SECRETS)
def test_every_secret_among_the_settings_may_stand_in_a_file(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = VALUE.get(name, "a secret of some length")
    (tmp_path / "secret").write_text(f"{secret}\n")
    monkeypatch.setenv(f"VENTROS_{name.upper()}_FILE", str(tmp_path / "secret"))
    found = getattr(Settings(_env_file=None), name)  # type: ignore[call-arg]
    assert isinstance(found, SecretStr)
    assert found.get_secret_value() == secret


def test_a_file_may_be_named_in_the_env_file_and_nothing_else_is_read_from_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "secret").write_text("0123456789abcdef")
    (tmp_path / ".env").write_text(
        f"VENTROS_METRICS_TOKEN_FILE={tmp_path / 'secret'}\nVENTROS_UI_PORT_FILE=/nowhere\n"
    )
    found = Settings(_env_file=tmp_path / ".env")  # type: ignore[call-arg]
    assert found.metrics_token is not None
    assert found.metrics_token.get_secret_value() == "0123456789abcdef"


def test_wahas_keys_may_stand_in_files_and_are_read_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "key"
    file.write_text("the first\n")
    for name in ("WAHA_OF_FILE", "WAHA_HMAC_OF_FILE"):
        monkeypatch.setenv(f"{name}_FILE", str(file))
    channel = channel_with({"api_key_env": "WAHA_OF_FILE", "hmac_key_env": "WAHA_HMAC_OF_FILE"})
    assert channel.api_key() == channel.webhook_key() == "the first"
    file.write_text("the second\n")
    assert channel.api_key() == "the second"


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda file: None, "cannot be read"),
        (lambda file: file.mkdir(), "cannot be read"),
        (lambda file: file.write_bytes(b""), "empty"),
        (lambda file: file.write_bytes(b"\n"), "empty"),
        (lambda file: file.write_bytes(b"s3cr3t\xff"), "no text"),
        (lambda file: file.write_bytes(b"s3cr3t" * LARGEST), "too large"),
    ],
)
def test_a_file_that_holds_no_secret_is_named_and_never_quoted(
    make: Callable[[Path], object], says: str, tmp_path: Path
) -> None:
    make(tmp_path / "file")
    with pytest.raises(SecretFileError, match=f"WAHA_KEY_FILE.*{says}") as refused:
        secret_of("WAHA_KEY", {"WAHA_KEY_FILE": str(tmp_path / "file")})
    assert "s3cr3t" not in str(refused.value)


def test_a_secret_that_stands_in_two_places_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("one")
    both = {"WAHA_KEY": "other", "WAHA_KEY_FILE": str(tmp_path / "file")}
    with pytest.raises(SecretFileError, match="both set"):
        secret_of("WAHA_KEY", both)
    assert secret_of("WAHA_KEY", {**both, "WAHA_KEY": ""}) == "one"
    assert secret_of("WAHA_KEY", {}) is None


def channel_with(auth: dict[str, str]) -> Channel:
    nobody = UUID(int=1)
    return Channel(
        id=nobody,
        key="default-00000000",
        name="default",
        project_id=nobody,
        tenant_id="acme",
        user_id=nobody,
        agent_id=nobody,
        pipeline_id=None,
        session_timeout=timedelta(minutes=30),
        allow_groups=False,
        base_url="http://waha",
        session="default",
        auth=auth,
    )
