"""What is deployed fits together: the image's files, Compose's parts, the chart's values.

The long forms are `make image-test` and `make hosts`. What Dagster's chart takes, and makes of it,
is in `chart.py`; what Kubernetes takes, in the schemas that it publishes.
"""

from __future__ import annotations

import importlib
import json
import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
import kubernetes
import kubernetes_validate
import pytest
import yaml
from dagster._config import process_config, resolve_to_config_type, validate_config
from dagster._core.code_pointer import ModuleCodePointer
from dagster._core.instance.config import dagster_instance_config_schema
from dagster._core.origin import JobPythonOrigin, RepositoryPythonOrigin
from dagster_k8s import K8sRunLauncher
from dagster_k8s.job import construct_dagster_k8s_job
from pydantic import ValidationError

from ventros_pipeline.serving import LOCATION
from ventros_pipeline.settings import Settings
from ventros_pipeline_tests.deploy.chart import (
    Values,
    code_context,
    dagster_yaml,
    deployment,
    launcher,
)
from ventros_pipeline_tests.deploy.dockerfile import DEPLOY, ROOT, stages

API = DEPLOY / "api.yaml"
# The oldest and the newest Kubernetes that its makers still mend.
KUBERNETES = ("1.35", "1.37")


def loaded(name: str) -> Any:
    return yaml.safe_load((DEPLOY / name).read_text("utf-8"))


# -- the image -----------------------------------------------------------------------------------


def test_the_image_is_pinned_made_of_what_is_there_and_runs_as_nobody_in_particular() -> None:
    *_, final = made = stages()
    assert all(re.search(r"(:\d+\.\d+\.\d+-slim-\w+|@sha256:[0-9a-f]{64})$", s.base) for s in made)
    for step in (step for stage in made for step in stage.steps if step.verb == "COPY"):
        if step.origin is None:
            assert all((ROOT / source).exists() for source in step.paths[:-1]), step
    user, _, group = final.last("USER").text.partition(":")
    assert int(user) >= 10_000
    assert int(group) >= 10_000
    assert final.command()[0] == "ventros"
    assert "ventros" in final.last("HEALTHCHECK").text
    assert not [s for s in final.steps if s.verb == "RUN" and re.search(r"\b(pip|apt)\b", s.text)]


def test_every_installation_of_the_image_demands_hashes_or_takes_our_own_wheel() -> None:
    runs = [s.text for stage in stages() for s in stage.steps if s.verb == "RUN"]
    installs = [text for text in runs if " install " in text]
    assert len(installs) == 3
    assert all("--require-hashes" in text or "--no-index" in text for text in installs)


@pytest.mark.parametrize("lock", ["requirements.lock", "build.lock"])
def test_the_image_holds_the_versions_that_are_tested(lock: str) -> None:
    def pins(path: Path) -> dict[str, str]:
        return dict(re.findall(r"^([\w.-]+)==(\S+)", path.read_text("utf-8"), re.MULTILINE))

    tested, imaged = pins(ROOT / "requirements.lock"), pins(DEPLOY / lock)
    assert imaged
    assert {name: tested[name] for name in imaged if name in tested}.items() <= imaged.items()


# -- compose -------------------------------------------------------------------------------------


def test_every_part_of_compose_is_checked_bounded_and_restarted() -> None:
    for name, service in loaded("compose.yaml")["services"].items():
        assert service["healthcheck"], name
        assert service["restart"] in ("unless-stopped", "no"), name
        assert service["deploy"]["resources"]["limits"].keys() == {"cpus", "memory"}, name
        assert ":" in service["image"], name
        for port in service.get("ports", []):
            assert port.startswith("127.0.0.1:"), f"{name} is open to the world"
        if "build" in service:
            assert service["read_only"], name
            assert (
                set(service.get("environment", {}))
                - {f"VENTROS_{field.upper()}" for field in Settings.model_fields}
                == set()
            )


def test_compose_names_only_what_it_has() -> None:
    whole = loaded("compose.yaml")
    for service in whole["services"].values():
        assert set(service.get("secrets", [])) <= whole["secrets"].keys()
        assert set(service["networks"]) <= whole["networks"].keys()
        assert set(service.get("depends_on", {})) <= whole["services"].keys()
        for volume in service.get("volumes", []):
            source = volume.partition(":")[0]
            assert source in whole["volumes"] or (DEPLOY / source).exists()


def test_secrets_are_made_once_and_closed_to_others(tmp_path: Path) -> None:
    script = tmp_path / "make-secrets.sh"
    script.write_bytes((DEPLOY / "make-secrets.sh").read_bytes())
    script.chmod(0o755)

    def made() -> dict[str, str]:
        environment = os.environ | {"WAHA_KEY": "the-key"}
        subprocess.run([str(script)], env=environment, check=True)
        return {path.name: path.read_text() for path in (tmp_path / "secrets").iterdir()}

    first = made()
    assert made() == first
    assert (tmp_path / "secrets").stat().st_mode & 0o077 == 0
    named = {Path(it["file"]).name for it in loaded("compose.yaml")["secrets"].values()}
    assert named <= first.keys()
    Settings(
        env="production",
        engine="celery",
        database_url=first["VENTROS_DATABASE_URL"],
        dagster_database_url=first["VENTROS_DAGSTER_DATABASE_URL"],
        broker_url=first["VENTROS_BROKER_URL"],
        _env_file=None,  # type: ignore[call-arg]
    )
    assert ":6432/" in first["VENTROS_DAGSTER_DATABASE_URL"]
    assert ":5432/" in first["VENTROS_DATABASE_URL"]


# -- the cluster ---------------------------------------------------------------------------------


def spoiled(path: str, value: Any) -> Any:
    """Return the chart's values with one changed or added."""
    values = json.loads(json.dumps(loaded("values.yaml")))  # An alias of YAML is the object itself.
    *way, last = path.split(".")
    part = values
    for step in way:
        part = part[int(step)] if step.isdigit() else part[step]
    part[last] = value
    return values


def run_of(values: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return the Job that Dagster's launcher makes of a run."""
    monkeypatch.setattr("dagster_k8s.launcher.load_kubernetes_config", lambda **_: None)
    [server] = values["dagster-user-deployments"]["deployments"]
    image = f"{server['image']['repository']}:{server['image']['tag']}"
    pointer = ModuleCodePointer("ventros_pipeline.definitions", "defs", None)
    repository = RepositoryPythonOrigin("python", pointer, image, None, code_context(server))
    run = dg.DagsterRun(
        job_name="history_import",
        job_code_origin=JobPythonOrigin("history_import", repository),
    )
    made = K8sRunLauncher(**launcher(values))
    context = made.get_container_context_for_run(run)
    job = construct_dagster_k8s_job(
        context.get_k8s_job_config(image, made),
        ["dagster", "api", "execute_run"],
        "run",
        context.run_k8s_config,
    )
    return kubernetes.client.ApiClient().sanitize_for_serialization(job)


@pytest.fixture
def objects(monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], dict[str, Any]]:
    """Make what Kubernetes gets: the API, the chart's parts and a run."""

    def make(values: Any) -> dict[str, Any]:
        [server] = values["dagster-user-deployments"]["deployments"]
        made = {
            "webserver": deployment("webserver", values["dagsterWebserver"]),
            "daemon": deployment("daemon", values["dagsterDaemon"]),
            "code": deployment("code", server),
            "run": run_of(values, monkeypatch),
        }
        return made | {it["kind"]: it for it in yaml.safe_load_all(API.read_text("utf-8"))}

    return make


def test_the_chart_takes_our_values() -> None:
    Values.model_validate(loaded("values.yaml"))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("extraManifests", []),
        ("dagsterDaemon.runMonitoring.startTimeoutSecond", 300),
        ("dagster-user-deployments.deployments.0.service", {}),
        ("dagsterWebserver.service.port", "3000"),
        ("dagsterWebserver.image.pullPolicy", "Sometimes"),
        ("dagsterDaemon.runCoordinator.config.queuedRunCoordinator.maxConcurrentRuns", "forty"),
        ("runLauncher.type", "CeleryK8sRunLauncher"),
    ],
)
def test_what_the_chart_refuses_or_overlooks_does_not_pass(path: str, value: Any) -> None:
    with pytest.raises(ValidationError) as refused:
        Values.model_validate(spoiled(path, value))
    places = [".".join(map(str, error["loc"])) for error in refused.value.errors()]
    assert places
    assert all(place.startswith(path) for place in places)


@pytest.mark.parametrize("version", KUBERNETES)
def test_kubernetes_takes_all_that_it_gets(
    version: str, objects: Callable[[Any], dict[str, Any]]
) -> None:
    made = objects(loaded("values.yaml"))
    assert made.keys() == {"webserver", "daemon", "code", "run", "Deployment", "Service"}
    for given in made.values():
        kubernetes_validate.validate(given, version, strict=True)


@pytest.mark.parametrize(
    ("path", "value", "where"),
    [
        ("dagsterWebserver.readinessProbe.periodSecond", 20, "webserver"),
        ("dagsterDaemon.podSecurityContext.runAsUser", "10001", "daemon"),
        ("dagster-user-deployments.deployments.0.env.0.value", 1, "code"),
    ],
)
def test_what_kubernetes_refuses_does_not_pass(
    path: str, value: Any, where: str, objects: Callable[[Any], dict[str, Any]]
) -> None:
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(
            objects(spoiled(path, value))[where], KUBERNETES[-1], strict=True
        )


@pytest.mark.parametrize("part", ["containerConfig", "podSpecConfig", "jobSpecConfig"])
def test_a_name_that_no_run_has_does_not_pass(
    part: str, objects: Callable[[Any], dict[str, Any]]
) -> None:
    misspelt = f"runLauncher.config.k8sRunLauncher.runK8sConfig.{part}.nodeSelektor"
    with pytest.raises(Exception, match="nodeSelektor"):
        objects(spoiled(misspelt, {}))


def test_every_pod_is_ours_bounded_and_has_the_same_settings(
    objects: Callable[[Any], dict[str, Any]],
) -> None:
    values = loaded("values.yaml")
    part = values["dagsterWebserver"]
    for name, given in objects(values).items():
        if name == "Service":
            continue
        pod = given["spec"]["template"]["spec"]
        [container] = pod["containers"]
        assert container["image"] == f"{part['image']['repository']}:{part['image']['tag']}", name
        assert pod["securityContext"] == part["podSecurityContext"], name
        assert container["securityContext"] == part["securityContext"], name
        assert {"secretRef": {"name": "ventros"}} in container["envFrom"], name
        assert all(variable in container["env"] for variable in part["env"]), name
        assert container["resources"].keys() == {"requests", "limits"}, name


def test_a_run_has_the_memory_of_a_run_and_not_that_of_the_code_server(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    values = loaded("values.yaml")
    run = values["runLauncher"]["config"]["k8sRunLauncher"]["runK8sConfig"]
    asked = run["containerConfig"]["resources"]
    [server] = values["dagster-user-deployments"]["deployments"]
    assert asked != server["resources"]

    def had(values: Any) -> Any:
        [container] = run_of(values, monkeypatch)["spec"]["template"]["spec"]["containers"]
        return container["resources"]

    assert had(values) == asked
    # As it would be if the code server had its say.
    told = "dagster-user-deployments.deployments.0.includeConfigInLaunchedRuns.enabled"
    assert had(spoiled(told, value=True)) == server["resources"]


def test_the_apis_service_leads_to_the_api(objects: Callable[[Any], dict[str, Any]]) -> None:
    made = objects(loaded("values.yaml"))
    deployed, service = made["Deployment"]["spec"], made["Service"]["spec"]
    assert service["selector"] == deployed["selector"]["matchLabels"]
    assert service["selector"] == deployed["template"]["metadata"]["labels"]
    [api] = deployed["template"]["spec"]["containers"]
    [port], [served] = api["ports"], service["ports"]
    assert served["targetPort"] == port["name"]
    assert {api[probe]["httpGet"]["port"] for probe in ("readinessProbe", "livenessProbe")} == {
        port["name"]
    }


def test_dagster_takes_the_dagster_yaml_that_the_chart_writes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DAGSTER_PG_PASSWORD", "from the secret")
    written = dagster_yaml(loaded("values.yaml"))
    taken = validate_config(dagster_instance_config_schema(), written)
    assert taken.success, [error.message for error in taken.errors or []]
    classes = [part for part in written.values() if "class" in part]
    assert len(classes) == 5
    for part in classes:
        named = getattr(importlib.import_module(part["module"]), part["class"])
        taken = process_config(resolve_to_config_type(named.config_type()), part["config"])
        assert taken.success, [error.message for error in taken.errors or []]


def test_the_chart_writes_what_our_own_dagster_yaml_says() -> None:
    ours, written = loaded("dagster.yaml"), dagster_yaml(loaded("values.yaml"))
    # The chart wants a number where Dagster keeps for ever unless told.
    assert written["retention"]["sensor"]["purge_after_days"].pop("started") == -1
    # Runs and what watches them are another matter where a run is a pod.
    engine = {"concurrency", "run_coordinator", "run_monitoring"}
    assert {name: written[name] for name in ours.keys() - engine} == {
        name: ours[name] for name in ours.keys() - engine
    }


def test_the_chart_limits_what_dagster_yaml_limits() -> None:
    ours = loaded("dagster.yaml")
    queue = loaded("values.yaml")["dagsterDaemon"]["runCoordinator"]["config"]
    chart = queue["queuedRunCoordinator"]
    assert chart["tagConcurrencyLimits"] == ours["concurrency"]["runs"]["tag_concurrency_limits"]
    assert (
        chart["dequeueIntervalSeconds"]
        == ours["run_coordinator"]["config"]["dequeue_interval_seconds"]
    )


def test_a_location_has_one_name_wherever_it_is_served() -> None:
    [there] = yaml.safe_load((ROOT / "workspace.yaml").read_text("utf-8"))["load_from"]
    assert there["python_module"]["location_name"] == LOCATION
