"""What Dagster's chart takes and what it makes of it, as far as our values go.

What belongs here: facts of the chart, in words of our own: which names its values have and of which
type, into which pods they go, and what it writes as `dagster.yaml`. What does not: whether ours are
right (`test_manifests.py`). The chart itself overlooks a name at the top that it does not know, so
every model here forbids what it does not name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import AliasGenerator, BaseModel, ConfigDict, Field

# What the chart hands on to Kubernetes as it is: its schema is that of Kubernetes.
Handed = dict[str, Any]
Number = int | dict[Literal["env"], str]
# Where in a pod the chart puts what it hands on.
IN_POD = {
    "podSecurityContext": "securityContext",
    "nodeSelector": "nodeSelector",
    "affinity": "affinity",
    "tolerations": "tolerations",
    "volumes": "volumes",
}
IN_CONTAINER = (
    "env",
    "securityContext",
    "resources",
    "livenessProbe",
    "readinessProbe",
    "volumeMounts",
)


def camel(name: str) -> str:
    """Return a name as the chart writes it."""
    return re.sub(r"_([a-z])", lambda found: found[1].upper(), name)


def snake(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return values under names as Dagster writes them."""
    return {
        re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", name).lower(): value
        for name, value in values.items()
    }


class Part(BaseModel):
    """A part of the values: no name but these, and no type but its own."""

    model_config = ConfigDict(
        extra="forbid", strict=True, frozen=True, alias_generator=AliasGenerator(alias=camel)
    )


class Image(Part):
    repository: str
    tag: str | int | None
    pull_policy: Literal["Always", "IfNotPresent", "Never"]


class Named(Part):
    """A Secret or a ConfigMap whose entries become variables."""

    name: str
    optional: bool | None = None


class Pod(Part):
    """What every pod of the chart may have."""

    image: Image
    env: dict[str, str] | list[Handed] = []
    env_config_maps: list[Named] = []
    env_secrets: list[Named] = []
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    node_selector: dict[str, str] = {}
    affinity: Handed = {}
    tolerations: list[Handed] = []
    pod_security_context: Handed = {}
    security_context: Handed = {}
    resources: Handed = {}
    liveness_probe: Handed = {}
    readiness_probe: Handed = {}
    volumes: list[Handed] = []
    volume_mounts: list[Handed] = []


class Service(Part):
    type: str
    port: int
    annotations: dict[str, str] = {}


class Webserver(Pod):
    replica_count: int
    service: Service
    path_prefix: str | None = None
    db_statement_timeout: int | None = None
    db_pool_recycle: int | None = None
    log_level: str | None = None
    enable_read_only: bool = False


class PerValue(Part):
    apply_limit_per_unique_value: bool


class TagLimit(Part):
    key: str
    value: str | PerValue | None = None
    limit: int


class Queue(Part):
    max_concurrent_runs: Number | None = None
    tag_concurrency_limits: list[TagLimit] = []
    dequeue_interval_seconds: Number | None = None
    dequeue_num_workers: Number | None = None
    dequeue_use_threads: bool | None = None


class QueueConfig(Part):
    queued_run_coordinator: Queue


class Coordinator(Part):
    enabled: bool
    type: Literal["QueuedRunCoordinator"]
    config: QueueConfig


class Monitoring(Part):
    enabled: bool
    start_timeout_seconds: int
    cancel_timeout_seconds: int | None = None
    poll_interval_seconds: int
    max_resume_run_attempts: int | None = None
    free_slots_after_run_end_seconds: int | None = None


class Retries(Part):
    enabled: bool
    max_retries: int | None = None
    retry_on_asset_or_op_failure: bool | None = None


class Ticks(Part):
    """How sensors or schedules are looked at."""

    use_threads: bool
    num_workers: int | None = None
    num_submit_workers: int | None = None


class Daemon(Pod):
    enabled: bool
    run_coordinator: Coordinator
    run_monitoring: Monitoring
    run_retries: Retries
    sensors: Ticks
    schedules: Ticks
    heartbeat_tolerance: int | None = None


class Enabled(Part):
    enabled: bool


class CodeServer(Pod):
    """One of the user deployments: neither replicas nor a service are its to say."""

    name: str
    port: int
    dagster_api_grpc_args: list[str] = []
    code_server_args: list[str] = []
    include_config_in_launched_runs: Enabled


class CodeServers(Part):
    enabled: bool
    enable_subchart: bool
    deployments: list[CodeServer]


class RunConfig(Part):
    container_config: Handed = {}
    pod_spec_config: Handed = {}
    pod_template_spec_metadata: Handed = {}
    job_spec_config: Handed = {}
    job_metadata: Handed = {}


class Launcher(Part):
    image: Image | None = None
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"]
    job_namespace: str | None = None
    load_incluster_config: bool
    env_config_maps: list[Named] = []
    env_secrets: list[Named] = []
    env_vars: list[str] = []
    labels: dict[str, str] = {}
    fail_pod_on_run_failure: bool | None = None
    run_k8s_config: RunConfig = Field(alias="runK8sConfig")


class LauncherConfig(Part):
    k8s_run_launcher: Launcher = Field(alias="k8sRunLauncher")


class RunLauncher(Part):
    type: Literal["K8sRunLauncher"]
    config: LauncherConfig


class PostgresService(Part):
    port: int


class Postgres(Part):
    enabled: bool
    postgresql_host: str
    postgresql_username: str
    postgresql_database: str
    postgresql_params: dict[str, Any] = {}
    postgresql_scheme: str | None = None
    service: PostgresService


class PythonLogs(Part):
    python_log_level: Literal["CRITICAL", "ERROR", "WARNING", "INFO", "DEBUG"]
    managed_python_loggers: list[str]


class DaysByOutcome(Part):
    skipped: int
    success: int
    failure: int
    started: int


class Kept(Part):
    purge_after_days: int | DaysByOutcome


class Retention(Part):
    enabled: bool
    sensor: Kept
    schedule: Kept


class Shared(Part):
    """What the chart and the one inside of it both see."""

    postgresql_secret_name: str
    dagster_home: str | None = None
    service_account_name: str | None = None


class Values(Part):
    shared: Shared = Field(alias="global")
    generate_postgresql_password_secret: bool
    telemetry: Enabled
    additional_instance_config: Handed
    python_logs: PythonLogs
    retention: Retention
    dagster_webserver: Webserver
    dagster_daemon: Daemon
    code_servers: CodeServers = Field(alias="dagster-user-deployments")
    run_launcher: RunLauncher
    postgresql: Postgres
    rabbitmq: Enabled
    redis: Enabled
    flower: Enabled
    image_pull_secrets: list[Handed] = []


def deployment(name: str, part: Mapping[str, Any]) -> dict[str, Any]:
    """Return the Deployment that the chart makes of a part, without what the chart adds."""
    label = {"app": name}
    image = part["image"]
    container = {
        "name": name,
        "image": f"{image['repository']}:{image['tag']}",
        "imagePullPolicy": image["pullPolicy"],
        "envFrom": [{"secretRef": secret} for secret in part.get("envSecrets", [])],
    }
    container |= {known: part[known] for known in IN_CONTAINER if known in part}
    pod = {there: part[here] for here, there in IN_POD.items() if here in part}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "selector": {"matchLabels": label},
            "template": {"metadata": {"labels": label}, "spec": pod | {"containers": [container]}},
        },
    }


def code_context(server: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return what a code server tells about the pods of its runs; it goes before the launcher's."""
    if not server["includeConfigInLaunchedRuns"]["enabled"]:
        return None
    told = {
        "image_pull_policy": server["image"]["pullPolicy"],
        "env_secrets": [secret["name"] for secret in server.get("envSecrets", [])],
        "env": server.get("env", []),
        "resources": server.get("resources", {}),
    }
    return {"k8s": told}


def launcher(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the launcher's part of `dagster.yaml`."""
    given = dict(values["runLauncher"]["config"]["k8sRunLauncher"])
    given["envSecrets"] = [secret["name"] for secret in given["envSecrets"]]
    run = snake(given.pop("runK8sConfig"))
    return snake(given) | {
        "run_k8s_config": run,
        "job_namespace": "ventros",
        "service_account_name": "ventros",
        "instance_config_map": "ventros-instance",
        "postgres_password_secret": values["global"]["postgresqlSecretName"],
        "dagster_home": "/opt/dagster/dagster_home",
    }


def storage(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return what `dagster.yaml` says for each of Dagster's three storages."""
    given = values["postgresql"]
    return {
        "postgres_db": {
            "username": given["postgresqlUsername"],
            "password": {"env": "DAGSTER_PG_PASSWORD"},
            "hostname": given["postgresqlHost"],
            "db_name": given["postgresqlDatabase"],
            "port": given["service"]["port"],
            "params": given.get("postgresqlParams", {}),
            "scheme": given["postgresqlScheme"],
        }
    }


def dagster_yaml(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the chart writes as `dagster.yaml`, without what our values leave to it."""
    daemon, kept = values["dagsterDaemon"], values["retention"]
    stores = {
        "run_storage": ("dagster_postgres.run_storage", "PostgresRunStorage"),
        "event_log_storage": ("dagster_postgres.event_log", "PostgresEventLogStorage"),
        "schedule_storage": ("dagster_postgres.schedule_storage", "PostgresScheduleStorage"),
    }
    return {
        "telemetry": values["telemetry"],
        "python_logs": snake(values["pythonLogs"]),
        "retention": {kind: snake(kept[kind]) for kind in ("sensor", "schedule")},
        "run_coordinator": {
            "module": "dagster",
            "class": daemon["runCoordinator"]["type"],
            "config": snake(daemon["runCoordinator"]["config"]["queuedRunCoordinator"]),
        },
        "run_launcher": {
            "module": "dagster_k8s",
            "class": values["runLauncher"]["type"],
            "config": launcher(values),
        },
        "run_monitoring": snake(daemon["runMonitoring"]),
        "run_retries": snake(daemon["runRetries"]),
        "sensors": snake(daemon["sensors"]),
        "schedules": snake(daemon["schedules"]),
        **{
            name: {"module": module, "class": kind, "config": storage(values)}
            for name, (module, kind) in stores.items()
        },
        **values["additionalInstanceConfig"],
    }
