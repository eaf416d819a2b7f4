"""The OpenAPI document says what the API does: schemathesis, over real HTTP, with every check."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from ventros_pipeline.api.app import create_app
from ventros_pipeline.api.problems import KINDS
from ventros_pipeline.crm.channels import Channel
from ventros_pipeline.settings import Settings
from ventros_pipeline_tests.api.conftest import SESSION, WEBHOOK_KEY, Office, served

HOOKS = "ventros_pipeline_tests.api.schemathesis_hooks"
CHANNEL = "/api/v1/crm/channels/{channel_id}"
SECURED = ("startImport", "importStatus", "cancelImport")


def operations(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {
        operation["operationId"]: operation
        for path in document["paths"].values()
        for operation in path.values()
    }


def run(url: str, folder: Path, channel_id: object, examples: int) -> str:
    """Let schemathesis try everything on a channel; return what it wrote."""
    config = folder / "schemathesis.toml"
    config.write_text(
        f'[parameters]\n"path.channel_id" = "{channel_id}"\n'
        # Invented keys beside the real one would be refused; `ignored_auth` tries these by itself.
        "[generation]\nwith-security-parameters = false\n",
        encoding="utf-8",
    )
    command = [
        *(str(Path(sys.executable).with_name("schemathesis")), "--config-file", str(config)),
        *("run", f"{url}/openapi.json", "--checks", "all"),
        *("--phases", "examples,coverage,fuzzing", "--max-examples", str(examples)),
        *("--header", "X-API-Key: key of owner"),
        *("--generation-deterministic", "--no-color"),
    ]
    environment = {
        **os.environ,
        "SCHEMATHESIS_HOOKS": HOOKS,
        "VENTROS_TEST_WEBHOOK_KEY": WEBHOOK_KEY,
        "VENTROS_TEST_SESSION": SESSION,
        "PYTHONPATH": str(Path(__file__).parents[2]),
    }
    done = subprocess.run(
        command,
        check=False,
        capture_output=True,
        text=True,
        cwd=folder,
        env=environment,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    return done.stdout


def test_the_api_does_what_its_document_says(
    office: Office, channel: Channel, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "ventros_pipeline.api")
    office.now = datetime.now(UTC)
    with served(office.app()) as url:
        said = run(url, tmp_path, channel.id, examples=15)
    assert "6 selected / 6 total" in said
    # It got through to everything, and not only to refusals.
    answers = {record.getMessage().partition(" in ")[0] for record in caplog.records}
    for operation, statuses in {
        f"POST {CHANNEL}/import-history": (200, 202, 401, 409, 415, 422),
        f"POST {CHANNEL}/cancel": (202, 401, 409),
        f"GET {CHANNEL}/import-status": (200, 401),
        "POST /api/v1/waha/channels/{channel_id}/events": (202, 401, 422),
    }.items():
        assert {f"{operation}: {status}" for status in statuses} <= answers
    assert not [answer for answer in answers if ": 5" in answer]


def test_the_document_describes_every_problem_and_who_may_call() -> None:
    settings = Settings(_env_file=None)  # type: ignore[call-arg]
    document = create_app(None, settings).openapi()  # type: ignore[arg-type]
    assert set(document["components"]["securitySchemes"]) == {
        "bearer",
        "apiKey",
        "webhookSignature",
    }
    for kind, (status, _) in KINDS.items():
        assert f"`{kind}` ({status})" in document["info"]["description"]
    found = operations(document)
    assert set(found) == {*SECURED, "takeEvent", "health", "ready"}
    for name, operation in found.items():
        assert "HTTPValidationError" not in str(operation)
        for status, answer in operation["responses"].items():
            if int(status) >= 400:
                assert answer["content"] == {
                    "application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}
                }
        secured = [set(scheme) for scheme in operation.get("security", [])]
        assert secured == (
            [{"bearer"}, {"apiKey"}]
            if name in SECURED
            else [{"webhookSignature"}]
            if name == "takeEvent"
            else []
        )
        if name in SECURED:
            assert {"401", "404", "413", "422", "429", "500", "503"} <= set(operation["responses"])
