"""A part that serves is told from one that does not, as what restarts containers asks.

API, webserver and daemon are asked where tests run them (`api/test_server_role.py`,
`dagster_/test_daemon.py`); here are the two parts that no other test runs.
"""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from celery.contrib.testing.worker import start_worker

from ventros_pipeline import cli, workers
from ventros_pipeline.settings import get_settings
from ventros_pipeline_tests.served import free_port, wait_for

BROKER = "memory://"
HealthOf = Callable[..., bool]


@pytest.fixture
def health_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> HealthOf:
    """Ask a part how it is, through the same `main` as the program."""
    monkeypatch.setenv("VENTROS_HOME", str(tmp_path))

    def ask(*arguments: str, **settings: str) -> bool:
        for name, value in settings.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(sys, "argv", ["ventros", "healthy", *arguments, "--json"])
        get_settings.cache_clear()
        with pytest.raises(SystemExit) as ended:
            cli.main()
        said = json.loads(capfd.readouterr().out)
        assert said["part"] == arguments[0]
        assert ended.value.code == (0 if said["healthy"] else 1)
        return bool(said["healthy"])

    return ask


@pytest.fixture
def root_level() -> Iterator[None]:
    """Celery sets the level of all logs, and leaves it so to the tests that come after."""
    root = logging.getLogger()
    level = root.level
    yield
    root.setLevel(level)


def test_a_code_server_is_healthy_as_long_as_it_is_there(
    health_of: HealthOf, tmp_path: Path
) -> None:
    code = tmp_path / "code.py"
    code.write_text("import dagster as dg\ndefs = dg.Definitions()\n", "utf-8")
    address = f"code.example:{free_port()}"
    command = [sys.executable, "-m", "dagster", "api", "grpc", "--python-file", str(code)]
    command += ["--host", "127.0.0.1", "--port", address.rpartition(":")[2]]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as server:
        try:
            wait_for("code server", lambda: health_of("code", VENTROS_CODE_SERVER=address) or None)
        finally:
            # Where SIGINT is ignored, as behind `nohup`, Dagster has SIGTERM ignored, too.
            server.kill()
    assert not health_of("code", VENTROS_CODE_SERVER=address)


@pytest.mark.usefixtures("root_level")
def test_a_worker_is_healthy_as_long_as_it_is_there_and_no_other_answers_for_it(
    health_of: HealthOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Within one process nothing takes long.
    monkeypatch.setattr(workers, "ANSWER_SECONDS", 0.5)
    monkeypatch.setitem(workers.CELERY["broker_transport_options"], "polling_interval", 0.05)
    settings = {
        "VENTROS_ENGINE": "celery",
        "VENTROS_BROKER_URL": BROKER,
        "VENTROS_DATABASE_URL": "postgresql://crm.example/crm",
        "VENTROS_DAGSTER_DATABASE_URL": "postgresql://crm.example/dagster",
    }
    app = workers.worker_app(BROKER)
    with start_worker(app, hostname="ventros@here", pool="solo", perform_ping_check=False):
        assert health_of("worker", "--name", "here", **settings)
        assert not health_of("worker", "--name", "there", **settings)
    assert not health_of("worker", "--name", "here", **settings)
