"""What a failed step says, and above all what it does not."""

from __future__ import annotations

from datetime import date

import psycopg
import pytest
from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError, OperationalError

from ventros_pipeline.crm.channels import ChannelError
from ventros_pipeline.crm.lifecycle import AlreadyImportingError, LifecycleError
from ventros_pipeline.crm.load import ConcurrentWriteError
from ventros_pipeline.crm.turns import ChannelBusyError
from ventros_pipeline.failures import explained, kind_of
from ventros_pipeline.stores import ArchiveError, ArchiveRefusedError, ArchiveUnreachableError
from ventros_pipeline.waha.courtesy import RestingError
from ventros_pipeline.waha.errors import (
    WahaConfigurationError,
    WahaGarbledError,
    WahaNotReadyError,
    WahaProtocolError,
    WahaTransientError,
    WahaUnsupportedError,
)

DAYS = [date(2026, 6, 1), date(2026, 6, 2)]
TEXT, PHONE = "o segredo da Ana", "5511980000001"


def fail(error: Exception) -> Exception:
    """Return the error with a traceback, as a step would see it."""
    try:
        raise error
    except type(error) as caught:
        return caught


def whole(error: Exception) -> str:
    failure = explained(error, "default-0000000a", DAYS)
    return f"{failure.description} {failure.metadata}"


@pytest.mark.parametrize(
    "error",
    [ValueError(f"cannot read {TEXT!r} of {PHONE}"), KeyError(PHONE), RuntimeError(TEXT * 100)],
)
def test_an_unforeseen_error_is_named_by_its_class_alone(error: Exception) -> None:
    said = whole(fail(error))
    assert TEXT not in said
    assert PHONE not in said
    assert type(error).__name__ in said
    assert "test_failures.py" in said


@pytest.mark.parametrize(
    "error",
    [
        ArchiveError("day 2026-06-01: damaged"),
        ConcurrentWriteError("written by another process"),
        WahaConfigurationError("The API key is wrong"),
    ],
)
def test_an_error_of_our_own_speaks_for_itself(error: Exception) -> None:
    assert str(error) in str(explained(error, "default-0000000a", DAYS).description)


def test_a_failure_names_the_channel_the_days_and_what_was_kept() -> None:
    failure = explained(fail(ValueError()), "default-0000000a", DAYS)
    assert str(failure.description).startswith("Channel default-0000000a, 2026-06-01 to 2026-06-02")
    assert "before is kept" in str(failure.description)
    one = explained(fail(ValueError()), "default-0000000a", DAYS[:1])
    assert str(one.description).startswith("Channel default-0000000a, 2026-06-01: ")


def test_only_what_can_pass_by_itself_is_tried_again() -> None:
    passing = [WahaTransientError("later"), OperationalError("x", {}, psycopg.OperationalError())]
    lasting = [WahaConfigurationError("key"), ArchiveError("damaged"), ValueError()]
    assert [explained(e, "c", DAYS).allow_retries for e in passing] == [True, True]
    assert [explained(e, "c", DAYS).allow_retries for e in lasting] == [False, False, False]


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (WahaConfigurationError, "configuration"),
        (WahaUnsupportedError, "configuration"),
        (LifecycleError, "configuration"),
        (ChannelError, "configuration"),
        (WahaNotReadyError, "not_ready"),
        (WahaTransientError, "transient"),
        (RestingError, "transient"),
        (WahaGarbledError, "transient"),
        (AlreadyImportingError, "transient"),
        (ChannelBusyError, "transient"),
        (ConcurrentWriteError, "transient"),
        (WahaProtocolError, "poison"),
        (ArchiveUnreachableError, "transient"),
        (ArchiveRefusedError, "configuration"),
        (ArchiveError, "poison"),
        (ValueError, "poison"),
    ],
)
def test_every_failure_is_of_one_kind(error: type[Exception], kind: str) -> None:
    assert kind_of(error("x")) == kind


def test_an_error_of_the_database_is_named_by_code_and_constraint_without_the_row(
    engine: Engine,
) -> None:
    values = {"tenant": TEXT, "name": PHONE}
    with pytest.raises(DBAPIError) as caught, engine.begin() as connection:
        connection.exec_driver_sql(
            "INSERT INTO contacts (project_id, tenant_id, name) "
            "VALUES (gen_random_uuid(), %(tenant)s, %(name)s)",
            values,
        )
    said = whole(caught.value)
    assert "ForeignKeyViolation 23503 contacts fk_contacts_project" in said
    assert TEXT not in said
    assert PHONE not in said


def test_a_channel_is_named_once() -> None:
    error = ChannelError("channel default-1a2b3c4d: its key is in a variable that is not set")
    said = explained(error, "default-1a2b3c4d", DAYS).description
    assert said is not None
    assert said.lower().count("channel default-1a2b3c4d") == 1
