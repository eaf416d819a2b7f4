"""What is deployed fits together: the image's files, Compose's parts, the chart's values.

The long forms are `make image-test` and `make hosts`. Of the chart only the names that its values
may have are written down here: its schema is another project's file.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any, cast

import pytest
import yaml
from dagster._config import process_config, resolve_to_config_type
from dagster_k8s import K8sRunLauncher

from ventros_pipeline.serving import LOCATION
from ventros_pipeline.settings import Settings
from ventros_pipeline_tests.deploy.dockerfile import DEPLOY, ROOT, stages

# The names under each part of the values of Dagster's chart, as far as ours go.
CHART: dict[str, str] = {
    "": "global generatePostgresqlPasswordSecret telemetry dagsterWebserver dagsterDaemon "
    "dagster-user-deployments runLauncher postgresql rabbitmq redis flower retention pythonLogs "
    "computeLogManager scheduler ingress migrate busybox serviceAccount additionalInstanceConfig "
    "generateCeleryConfigSecret imagePullSecrets nameOverride fullnameOverride rbacEnabled "
    "extraManifests",
    "global": "postgresqlSecretName dagsterHome serviceAccountName celeryConfigSecretName",
    "telemetry": "enabled",
    "dagsterWebserver": "replicaCount image nameOverride pathPrefix service workspace env "
    "envConfigMaps envSecrets deploymentLabels labels volumes volumeMounts nodeSelector affinity "
    "tolerations podSecurityContext securityContext resources readinessProbe livenessProbe "
    "startupProbe annotations enableReadOnly dbStatementTimeout dbPoolRecycle logLevel",
    "dagsterWebserver.service": "type port annotations",
    "dagsterDaemon": "enabled image runCoordinator heartbeatTolerance env envConfigMaps envSecrets "
    "deploymentLabels labels nodeSelector affinity tolerations podSecurityContext securityContext "
    "resources livenessProbe readinessProbe startupProbe annotations runMonitoring runRetries "
    "sensors schedules schedulerName volumeMounts volumes",
    "dagsterDaemon.runCoordinator": "enabled type config",
    "dagsterDaemon.runCoordinator.config": "queuedRunCoordinator customRunCoordinator",
    "dagsterDaemon.runCoordinator.config.queuedRunCoordinator": "maxConcurrentRuns "
    "tagConcurrencyLimits dequeueIntervalSeconds dequeueNumWorkers dequeueUseThreads",
    "dagsterDaemon.runMonitoring": "enabled startTimeoutSeconds cancelTimeoutSeconds "
    "pollIntervalSeconds maxResumeRunAttempts freeSlotsAfterRunEndSeconds",
    "dagsterDaemon.runRetries": "enabled maxRetries",
    "dagster-user-deployments": "enabled enableSubchart imagePullSecrets deployments",
    "dagster-user-deployments.deployments": "name image dagsterApiGrpcArgs codeServerArgs port "
    "includeConfigInLaunchedRuns env envConfigMaps envSecrets annotations nodeSelector affinity "
    "tolerations podSecurityContext securityContext resources livenessProbe readinessProbe "
    "startupProbe labels volumeMounts volumes schedulerName service replicaCount",
    "runLauncher": "type config",
    "runLauncher.config": "k8sRunLauncher celeryK8sRunLauncher customRunLauncher",
    "runLauncher.config.k8sRunLauncher": "image imagePullPolicy jobNamespace loadInclusterConfig "
    "kubeconfigFile envConfigMaps envSecrets envVars volumeMounts volumes labels "
    "failPodOnRunFailure resources schedulerName securityContext runK8sConfig",
    "runLauncher.config.k8sRunLauncher.runK8sConfig": "containerConfig podSpecConfig "
    "podTemplateSpecMetadata jobSpecConfig jobMetadata",
    "postgresql": "enabled image postgresqlHost postgresqlUsername postgresqlPassword "
    "postgresqlDatabase postgresqlParams postgresqlScheme service",
    "postgresql.service": "port",
}


def loaded(name: str) -> Any:
    return yaml.safe_load((DEPLOY / name).read_text("utf-8"))


def found(values: Any, path: str) -> list[dict[str, Any]]:
    for part in filter(None, path.split(".")):
        values = values[part]
    return cast("list[dict[str, Any]]", values if isinstance(values, list) else [values])


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


# -- the chart -----------------------------------------------------------------------------------


def test_the_charts_values_have_names_that_the_chart_knows() -> None:
    values = loaded("values.yaml")
    for path, names in CHART.items():
        for part in found(values, path):
            assert set(part) <= set(names.split()), path


def test_dagster_takes_the_launcher_that_the_values_describe() -> None:
    given = loaded("values.yaml")["runLauncher"]["config"]["k8sRunLauncher"]
    run = given["runK8sConfig"]
    config = {
        "load_incluster_config": given["loadInclusterConfig"],
        "image_pull_policy": given["imagePullPolicy"],
        "env_secrets": [secret["name"] for secret in given["envSecrets"]],
        "service_account_name": "ventros",
        "instance_config_map": "ventros-instance",
        "dagster_home": "/opt/dagster/dagster_home",
        "run_k8s_config": {
            "container_config": run["containerConfig"],
            "pod_spec_config": run["podSpecConfig"],
            "job_spec_config": run["jobSpecConfig"],
        },
    }
    taken = process_config(resolve_to_config_type(K8sRunLauncher.config_type()), config)
    assert taken.success, json.dumps([error.message for error in taken.errors or []])


def test_the_api_in_the_cluster_is_the_image_that_everything_else_is() -> None:
    values = loaded("values.yaml")
    deployment, service = values["extraManifests"]
    [api] = deployment["spec"]["template"]["spec"]["containers"]
    image = values["dagsterWebserver"]["image"]
    assert api["image"] == f"{image['repository']}:{image['tag']}"
    assert service["spec"]["selector"] == deployment["spec"]["selector"]["matchLabels"]
    assert service["spec"]["ports"][0]["targetPort"] == api["ports"][0]["containerPort"]


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
