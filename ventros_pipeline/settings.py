"""Every setting, typed, with a safe default. Settings come from `VENTROS_*` variables and `.env`.

What belongs here: names, types, defaults, and the rules that make a production start fail closed.
What does not: reading a setting at import time, or turning one into a client (see `resources.py`).
"""

from __future__ import annotations

import base64
import re
from datetime import date, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, Self, get_args

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from ventros_pipeline.stores import BUCKET_URI, FOLDER_URI
from ventros_pipeline.variables import secret_of

KEY_BYTES = 32


class SettingsError(Exception):
    """The settings make no start; the message names the variables."""


class _SecretFiles(PydanticBaseSettingsSource):
    """Secrets from the files that `NAME_FILE` variables name, of the environment or `.env`."""

    def __init__(self, settings: type[BaseSettings], *sources: PydanticBaseSettingsSource) -> None:
        super().__init__(settings)
        self._variables = {
            name.upper(): value
            for source in reversed(sources)
            if isinstance(source, EnvSettingsSource)
            for name, value in source.env_vars.items()
            if value
        }

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """Return a setting's value, None where it has no file."""
        name = f"VENTROS_{field_name.upper()}"
        is_secret = SecretStr in (field.annotation, *get_args(field.annotation))
        has_file = is_secret and f"{name}_FILE" in self._variables
        return secret_of(name, self._variables) if has_file else None, field_name, False

    def __call__(self) -> dict[str, Any]:
        """Return the settings that have a file."""
        found = {
            name: self.get_field_value(field, name)[0]
            for name, field in self.settings_cls.model_fields.items()
        }
        return {name: value for name, value in found.items() if value is not None}


class Settings(BaseSettings):
    """The settings of one process. Field names are the variables without `VENTROS_`.

    Raises:
        pydantic.ValidationError: a value does not parse, or `env` is `production` and a setting
            would let a demo part take the place of a real one.
    """

    model_config = SettingsConfigDict(
        env_prefix="VENTROS_", env_file=".env", extra="ignore", frozen=True
    )

    env: Literal["development", "production"] = Field(
        "development",
        description="`production` refuses the embedded Postgres and the replay server.",
    )
    home: Path = Field(
        Path(".ventros"),
        description="Folder of the archive, the embedded Postgres and Dagster's own files.",
    )
    database_url: SecretStr | None = Field(
        None, description="The CRM's Postgres. Unset: an embedded server under `VENTROS_HOME`."
    )
    dagster_database_url: SecretStr | None = Field(
        None,
        description="A separate Postgres database for Dagster's own storage. Unset: a database "
        "`dagster` of the embedded server; SQLite under `VENTROS_HOME`, which is slower, where "
        "`VENTROS_DATABASE_URL` is set.",
    )
    archive_uri: str | None = Field(
        None,
        description="Where the raw archive and media files lie: `s3://BUCKET/PREFIX`, "
        "`gs://BUCKET/PREFIX`, `az://CONTAINER/PREFIX` or `file:///FOLDER`. Keys of the store come "
        "from the environment (`AWS_…`, `GOOGLE_…`, `AZURE_…`), never from here. Unset: "
        "`VENTROS_HOME/archive`.",
    )
    history_start: date = Field(
        date(2024, 1, 1),
        description="First day of the calendar. It also holds everything older and everything "
        "without a trustworthy time.",
    )
    page_size: int = Field(500, ge=1, le=5000, description="Messages asked of WAHA in one request.")
    key_variables: dict[str, tuple[str, ...]] | None = Field(
        None,
        description="Which variables the channels of each tenant may name for their keys, as JSON: "
        '`{"acme": ["WAHA_ACME_*"]}`; what is not in it may name none. Unset: any variable whose '
        "name holds WAHA, as long as the channels of one project alone name any.",
    )
    connect_timeout: float = Field(
        10.0, gt=0, description="Seconds to wait for a connection to WAHA."
    )
    read_timeout: float = Field(
        60.0,
        gt=0,
        description="Seconds to wait for an answer. WAHA itself waits up to 15 s for a session, "
        "so keep it well above that.",
    )
    total_timeout: float = Field(
        120.0, gt=0, description="Seconds for one try of a request, however slowly it trickles."
    )
    slow_timeout: float = Field(
        330.0,
        gt=0,
        description="The same for WEBJS and WPP, which walk a browser's database and give up after "
        "300 s themselves.",
    )
    waha_rate: float = Field(
        8.0,
        gt=0,
        description="Requests a second that one WAHA server gets from all processes together; it "
        "also serves live traffic.",
    )
    waha_concurrency: int = Field(
        2, ge=1, description="Requests that one WAHA server gets at the same time, likewise."
    )
    request_attempts: int = Field(
        5, ge=1, le=20, description="Tries for one request while the failure is transient."
    )
    body_limit_mb: int = Field(
        256, ge=1, description="Largest answer of WAHA, in MB, that is read into memory."
    )
    waha_hosts: str | None = Field(
        None,
        pattern=r"^[A-Za-z0-9._:\[\]-]+(\s*,\s*[A-Za-z0-9._:\[\]-]+)*$",
        description="Servers that channels may name, separated by commas, each with or without a "
        "port: `waha:3000,waha.example.com`. Set it where people whom you do not trust edit "
        "channels in the CRM. Unset: any, but link-local addresses and clouds' own services.",
    )
    memory_limit_mb: int | None = Field(
        None,
        ge=128,
        description="Most memory of one run, in MB; one that would take more ends with a sentence, "
        "and what it has read is kept. Unset: four fifths of what the machine or the container "
        "has.",
    )
    archive_limit_mb: int = Field(
        51_200,
        ge=1,
        description="Most that the raw archive of one channel may take on disk, in MB; a million "
        "messages take about 250. Days beyond it are not read.",
    )
    statement_timeout: int = Field(
        1800, ge=1, description="Seconds for one statement in the CRM's database."
    )
    lock_timeout: int = Field(
        300,
        ge=1,
        description="Seconds to wait for one lock in the CRM's database, for example behind a "
        "migration of the CRM's own.",
    )
    directory_max_age: int = Field(
        3600, ge=0, description="Seconds after which a run lists chats, contacts and LIDs anew."
    )
    contact_names: Literal["never", "if-raw", "always"] = Field(
        "if-raw",
        description="When an import changes a contact's name: `never` once it is written; `if-raw` "
        "while it is empty, a mere number or the one it wrote, so that what a person typed stays; "
        "`always`, to WhatsApp's best name.",
    )
    media_url: str | None = Field(
        None,
        pattern=r"^https?://[^\s/]+\S*$",
        description="Address under which the CRM can fetch what lies in the "
        "archive's folder `media` (`VENTROS_ARCHIVE_URI`), by a web server or from the object "
        "store. Unset: fetched files are not enriched.",
    )
    usd_per_whisper_minute: float = Field(
        0.006, ge=0, description="What a minute of voice or audio costs to transcribe, in USD."
    )
    usd_per_vision_image: float = Field(
        0.005, ge=0, description="What an image costs to describe, in USD."
    )
    usd_per_ffmpeg_minute: float = Field(
        0.03,
        ge=0,
        description="What a minute of video costs, in USD: its sound transcribed and about five "
        "frames described.",
    )
    usd_per_llamaparse_page: float = Field(
        0.003, ge=0, description="What a page of a document costs to parse, in USD."
    )
    sync_overlap: int = Field(
        3600,
        ge=0,
        description="Seconds before the newest known message from which on a pass reads again: "
        "what comes late, acks and edits.",
    )
    reread_days: int = Field(
        7,
        ge=0,
        le=366,
        description="Last days that `settle_daily` reads again for acks, edits and revokes.",
    )
    archive_keep_days: int | None = Field(
        None,
        ge=31,
        description="Days after which the raw archive of a settled day is deleted by the schedule "
        "`weekly_retention`. Unset: kept for ever, and everything can be rebuilt from it.",
    )
    quarantine_keep_days: int | None = Field(
        None,
        ge=1,
        description="Days after which a row in quarantine that no load has met since is deleted by "
        "the schedule `weekly_retention`. Unset: kept until it is imported.",
    )
    undo_keep_days: int = Field(
        90,
        ge=1,
        description="Days for which a run can be undone: what it wrote over is kept so long, and "
        "then deleted by the schedule `weekly_retention`.",
    )
    quarantine_key: SecretStr | None = Field(
        None,
        description="Key that payloads in quarantine are encrypted with at rest: 32 bytes in "
        "base64 (`openssl rand -base64 32`). Several, separated by commas, let keys be changed: "
        "the first encrypts, any of them decrypts. Unset: they are kept as they came.",
    )
    run_days: int = Field(92, ge=1, le=366, description="Most days of one channel in one run.")
    engine: Literal["local", "celery", "kubernetes"] = Field(
        "local",
        description="Where runs go: `local`, to processes beside the code server; `celery`, to the "
        "hosts on which `ventros worker` runs; `kubernetes`, to a pod each, as Dagster's own chart "
        "says in its `dagster.yaml`.",
    )
    concurrent_runs: int = Field(
        4,
        ge=1,
        description="Runs at the same time, on all hosts together; with `celery` no more than the "
        "workers have processes for, and with `kubernetes` the chart says it.",
    )
    broker_url: SecretStr | None = Field(
        None,
        description="Redis that hands runs to workers, such as `redis://:password@host:6379/0`. "
        "Needed by `VENTROS_ENGINE=celery`.",
    )
    code_server: str | None = Field(
        None,
        pattern=r"^[^\s:/]+:\d{1,5}$",
        description="Host and port of `ventros up --only code`, where webserver and daemon are "
        "processes or containers of their own. Unset: each starts a code server itself.",
    )
    ui_port: int = Field(3000, ge=1, le=65535, description="Port of the Dagster UI.")
    api_read_rate: int = Field(
        60, ge=1, le=1000, description="Calls a minute that one API key may make to read."
    )
    api_start_rate: int = Field(
        10,
        ge=1,
        le=1000,
        description="Calls a minute that one API key may make to start or cancel an import.",
    )
    webhook_hmac_key: SecretStr | None = Field(
        None,
        min_length=16,
        description="Key with which WAHA signs its webhooks, at least 16 characters. Unset: only "
        "channels with a key of their own receive webhooks; unsigned ones are never taken.",
    )
    metrics_token: SecretStr | None = Field(
        None,
        min_length=16,
        description="Token that opens `GET /metrics` of `ventros serve`, at least 16 characters: "
        "the figures name the channels of all tenants. Unset: nothing is there.",
    )
    log_format: Literal["human", "json"] = Field(
        "human",
        description="How log lines are written: for a person, or one JSON object a line.",
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] | None = Field(
        None,
        description="From which level on. Unset: INFO, and WARNING for commands that are not "
        "`ventros serve` and do not log JSON.",
    )
    alert_url: SecretStr | None = Field(
        None,
        description="Webhook that the sensors of alerts post to; a secret, like the addresses of "
        "Slack, Teams and Discord are. Unset: nobody is told.",
    )
    alert_shape: Literal["slack", "teams", "discord", "plain"] | None = Field(
        None,
        description="What the webhook takes: `slack`, `teams` (a workflow), `discord`, or `plain` "
        "JSON. Unset: as its host says, and `plain` for any other.",
    )
    ui_url: str | None = Field(
        None,
        pattern=r"^https?://[^\s/]+\S*$",
        description="Address under which people reach the Dagster UI, for links. Unset: loopback "
        "and `VENTROS_UI_PORT`.",
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Let a secret's file take the place of its variable."""
        files = _SecretFiles(settings_cls, env_settings, dotenv_settings)
        return init_settings, files, env_settings, dotenv_settings

    @field_validator("archive_uri")
    @classmethod
    def _archive_uri_has_no_secret(cls, value: str | None) -> str | None:
        if value is not None and not (BUCKET_URI.fullmatch(value) or FOLDER_URI.fullmatch(value)):
            raise ValueError(
                "it must be s3://BUCKET/PREFIX, gs://BUCKET/PREFIX, az://CONTAINER/PREFIX or "
                "file:///FOLDER, without user, password or options: those of the store come from "
                "the environment (AWS_…, GOOGLE_… or AZURE_…)"
            )
        return value

    @field_validator("quarantine_key")
    @classmethod
    def _quarantine_key_is_a_key(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            keys_of(value)
        return value

    @model_validator(mode="after")
    def _production_needs_a_real_server(self) -> Self:
        if self.env == "production" and self.database_url is None:
            raise ValueError(
                "VENTROS_ENV=production refuses the embedded Postgres: set VENTROS_DATABASE_URL"
            )
        return self

    @model_validator(mode="after")
    def _other_hosts_need_what_all_can_reach(self) -> Self:
        if self.engine == "local":
            return self
        needed = {
            "VENTROS_DATABASE_URL": self.database_url,
            "VENTROS_DAGSTER_DATABASE_URL": self.dagster_database_url,
            "VENTROS_BROKER_URL": self.broker_url,
        }
        if self.engine == "kubernetes":  # The chart knows the other two.
            needed = {"VENTROS_DATABASE_URL": self.database_url}
        if lacking := [name for name, value in needed.items() if value is None]:
            raise ValueError(
                f"VENTROS_ENGINE={self.engine} runs on several hosts, which share what you have "
                f"to name: set {', '.join(lacking)}"
            )
        return self

    @model_validator(mode="after")
    def _alerts_need_an_address(self) -> Self:
        address = self.alert_url.get_secret_value() if self.alert_url else "https://none"
        if not re.fullmatch(r"https?://[^\s/]+\S*", address):
            raise ValueError("VENTROS_ALERT_URL is not an address that begins with https://")
        return self

    @property
    def archive_dir(self) -> Path:
        """Where the raw archive lies, unless `archive_uri` says otherwise."""
        return self.home.resolve() / "archive"

    @property
    def postgres_dir(self) -> Path:
        """Where the embedded Postgres keeps its files."""
        return self.home.resolve() / "postgres"

    @property
    def overlap(self) -> timedelta:
        """How far back of the newest known message a pass reads."""
        return timedelta(seconds=self.sync_overlap)

    @property
    def allowed_hosts(self) -> frozenset[str]:
        """Servers that channels may name, lower case; none means any."""
        return frozenset(name.strip().lower() for name in (self.waha_hosts or "").split(",")) - {""}

    @property
    def ui_address(self) -> str:
        """Where people reach the Dagster UI, without a slash at its end."""
        return (self.ui_url or f"http://127.0.0.1:{self.ui_port}").rstrip("/")

    @property
    def enrichment_prices(self) -> dict[str, float]:
        """What a unit of each enrichment provider costs, in USD."""
        return {
            "whisper": self.usd_per_whisper_minute,
            "vision": self.usd_per_vision_image,
            "ffmpeg": self.usd_per_ffmpeg_minute,
            "llamaparse": self.usd_per_llamaparse_page,
        }

    @property
    def quarantine_keys(self) -> list[bytes]:
        """What payloads in quarantine are encrypted with; the first of them encrypts."""
        return [] if self.quarantine_key is None else keys_of(self.quarantine_key)

    @property
    def dagster_home(self) -> Path:
        """Where `dagster.yaml` and, if it has no Postgres, Dagster's SQLite files live."""
        return self.home.resolve() / "dagster"


@lru_cache(maxsize=1)
def get_settings() -> Settings:
    """Return this process's settings, read once.

    Raises:
        SettingsError: a setting does not parse, or production lacks one; values are not quoted.
        SecretFileError: the file of a secret cannot be used.
    """
    try:
        return Settings()
    except ValidationError as error:
        problems = [
            " ".join(filter(None, (_variable(e["loc"]), e["msg"].removeprefix("Value error, "))))
            for e in error.errors(include_input=False, include_url=False)
        ]
        raise SettingsError("; ".join(problems) + " (in the environment or .env)") from None


def keys_of(secret: SecretStr) -> list[bytes]:
    """Return the keys that a setting holds: base64 of 32 bytes each, separated by commas.

    Raises:
        ValueError: one of them is no such key; it is not quoted.
    """
    # Both alphabets of base64 are in use, and tools differ.
    plain = secret.get_secret_value().translate(str.maketrans("-_", "+/"))
    keys = []
    for number, text in enumerate(plain.split(","), start=1):
        try:
            key = base64.b64decode(text.strip(), validate=True)
        except ValueError:
            key = b""
        if len(key) != KEY_BYTES:
            raise ValueError(
                f"key {number} is not {KEY_BYTES} bytes in base64 (`openssl rand -base64 32`)"
            )
        keys.append(key)
    return keys


def _variable(location: tuple[int | str, ...]) -> str:
    return f"VENTROS_{str(location[0]).upper()}:" if location else ""
