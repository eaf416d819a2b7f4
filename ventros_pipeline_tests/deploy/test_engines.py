"""One setting says where runs go, and a run that nobody holds is noticed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml
from dagster._core.launcher import WorkerStatus
from dagster_celery.tags import DAGSTER_CELERY_TASK_ID_TAG

from ventros_pipeline import instance, workers
from ventros_pipeline.environment import secret_values
from ventros_pipeline.instance import InstanceError, prepare_home, worker_broker
from ventros_pipeline.serving import ServingError, part_command, workspace_file
from ventros_pipeline.settings import Settings
from ventros_pipeline.workers import KNOWN_SECONDS, LOST_SECONDS, WorkerRunLauncher

TASK = "a-task"
RUN = dg.DagsterRun(job_name="history_import", tags={DAGSTER_CELERY_TASK_ID_TAG: TASK})


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the environment of the other tests as it was."""
    for name in ("DAGSTER_HOME", instance.STORAGE_VARIABLE, instance.BROKER_VARIABLE):
        monkeypatch.setenv(name, "")
    monkeypatch.setenv("DAGSTER_EVENT_BATCH_SIZE", "500")


def settings_of(home: Path, **given: Any) -> Settings:
    urls = {
        "database_url": "postgresql+psycopg://crm.example/crm",
        "dagster_database_url": "postgresql+psycopg://crm.example/dagster",
    }
    return Settings(home=home, **urls | given, _env_file=None)  # type: ignore[arg-type, call-arg]


def test_the_engine_is_a_matter_of_dagsters_configuration_alone(tmp_path: Path) -> None:
    written = {}
    for engine in ("local", "celery"):
        settings = settings_of(
            tmp_path / engine, engine=engine, broker_url="redis://broker/0", concurrent_runs=12
        )
        prepare_home(settings)
        text = (settings.dagster_home / "dagster.yaml").read_text("utf-8")
        assert "crm.example" not in text
        assert "redis:" not in text
        written[engine] = yaml.safe_load(text)
    assert written["celery"]["run_launcher"]["class"] == WorkerRunLauncher.__name__
    assert written["celery"]["concurrency"]["runs"]["max_concurrent_runs"] == 12
    different = {
        name for name in written["celery"] if written["celery"][name] != written["local"].get(name)
    }
    assert different == {"run_launcher", "compute_logs", "run_monitoring"}


@pytest.mark.parametrize("engine", ["celery", "kubernetes"])
def test_other_hosts_need_a_database_that_they_can_reach(engine: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="set VENTROS_DATABASE_URL"):
        settings_of(tmp_path, engine=engine, database_url=None)


def test_kubernetes_leaves_the_configuration_to_the_chart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings_of(tmp_path, engine="kubernetes")
    with pytest.raises(InstanceError, match="from the chart"):
        prepare_home(settings)
    (tmp_path / "dagster.yaml").touch()
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    prepare_home(settings)
    assert not settings.dagster_home.exists()


def test_a_worker_that_nobody_hands_a_run_does_not_start(tmp_path: Path) -> None:
    with pytest.raises(InstanceError, match="VENTROS_ENGINE=local hands no run to a worker"):
        worker_broker(settings_of(tmp_path))


def test_parts_find_the_code_server_by_its_setting(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, code_server="code:4266")
    settings.dagster_home.mkdir(parents=True)
    [server] = yaml.safe_load(workspace_file(settings).read_text("utf-8"))["load_from"]
    assert server["grpc_server"] == {
        "host": "code",
        "port": 4266,
        "location_name": "ventros_pipeline",
    }
    assert part_command(settings, "code", "0.0.0.0")[-3:-2] == ["4266"]  # noqa: S104
    with pytest.raises(ServingError, match="VENTROS_CODE_SERVER"):
        part_command(settings_of(tmp_path), "code", "127.0.0.1")


def test_secrets_are_files_that_are_named_like_variables(tmp_path: Path) -> None:
    (tmp_path / "WAHA_KEY").write_text("the-key\n")
    (tmp_path / "redis.conf").write_text("requirepass x\n")
    (tmp_path / "kubernetes").mkdir()
    assert secret_values(tmp_path) == {"WAHA_KEY": "the-key"}
    assert secret_values(tmp_path / "none") == {}


# -- a run that is cancelled ---------------------------------------------------------------------


def test_a_cancelled_run_is_known_as_such_before_its_worker_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Else it would fail as if its process had died, and be tried again."""
    launcher, told = WorkerRunLauncher("memory://"), []

    class Result:
        def __init__(self, task: str) -> None:
            self.task = task

        def revoke(self, *, terminate: bool) -> None:
            told.append((self.task, terminate, instance.get_runs()[0].status))

    monkeypatch.setattr(launcher.celery, "AsyncResult", Result)
    with dg.DagsterInstance.ephemeral() as instance:
        launcher.register_instance(instance)
        run = instance.add_run(RUN._replace(status=dg.DagsterRunStatus.STARTED))
        assert launcher.terminate(run.run_id)
        assert told == [(TASK, True, dg.DagsterRunStatus.CANCELING)]
        instance.report_run_canceled(run)
        assert not launcher.terminate(run.run_id)
        assert len(told) == 1


# -- whether somebody holds a run ----------------------------------------------------------------


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Callable[..., WorkerRunLauncher]:
    """Make a launcher whose broker and workers say what a test wants."""

    def make(state: str) -> WorkerRunLauncher:
        launcher = WorkerRunLauncher("memory://")
        launcher.held_now, launcher.now = frozenset({TASK}), 1000.0  # type: ignore[attr-defined]
        launcher.clock = lambda: launcher.now  # type: ignore[attr-defined]
        result = type("Result", (), {"state": state, "worker": "ventros@host"})
        monkeypatch.setattr(launcher.celery, "AsyncResult", lambda _: result)
        monkeypatch.setattr(workers, "_ask", lambda _: launcher.held_now)  # type: ignore[attr-defined]
        return launcher

    return make


def test_a_run_is_lost_once_nobody_has_held_it_for_a_while(
    told: Callable[..., Any],
) -> None:
    launcher = told("STARTED")
    assert launcher.check_run_worker_health(RUN).status is WorkerStatus.RUNNING
    launcher.held_now = frozenset()
    launcher.now += KNOWN_SECONDS
    assert launcher.check_run_worker_health(RUN).status is WorkerStatus.RUNNING
    launcher.now += LOST_SECONDS
    lost = launcher.check_run_worker_health(RUN)
    assert lost.status is WorkerStatus.FAILED
    assert "No worker has held this run for 60 s" in lost.msg


def test_a_worker_that_is_back_in_time_keeps_its_run(told: Callable[..., Any]) -> None:
    launcher = told("STARTED")
    launcher.held_now = frozenset()
    assert launcher.check_run_worker_health(RUN).status is WorkerStatus.RUNNING
    launcher.now += LOST_SECONDS - 1
    launcher.held_now = frozenset({TASK})
    assert launcher.check_run_worker_health(RUN).status is WorkerStatus.RUNNING
    launcher.held_now = frozenset()
    launcher.now += KNOWN_SECONDS
    assert launcher.check_run_worker_health(RUN).status is WorkerStatus.RUNNING


def test_a_broker_that_has_forgotten_its_results_lets_no_run_count_as_lost(
    told: Callable[..., Any],
) -> None:
    launcher = told("PENDING")
    for _ in range(5):
        assert launcher.check_run_worker_health(RUN).status is WorkerStatus.RUNNING
        launcher.now += LOST_SECONDS


def test_what_celery_knows_for_sure_is_believed(told: Callable[..., Any]) -> None:
    assert told("FAILURE").check_run_worker_health(RUN).status is WorkerStatus.FAILED
    assert told("SUCCESS").check_run_worker_health(RUN).status is WorkerStatus.SUCCESS
