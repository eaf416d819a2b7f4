"""What the figures were measured with: machine, versions, settings of the database."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psycopg

PACKAGES = ("ventros-pipeline", "dagster", "polars", "psycopg", "sqlalchemy", "httpx", "msgspec")
# What a server for a CRM of this size is usually given; nothing that trades safety for speed.
SETTINGS = {
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "shared_buffers": "1GB",
    "effective_cache_size": "4GB",
    "work_mem": "16MB",
    "maintenance_work_mem": "256MB",
    "max_wal_size": "4GB",
    "checkpoint_timeout": "15min",
    "wal_level": "replica",
    "max_connections": "100",
}


def facts(postgres: psycopg.Connection[tuple[object, ...]]) -> Mapping[str, str]:
    """Return what the figures depend on, by name."""
    row = postgres.execute("SHOW server_version").fetchone()
    settings = ", ".join(f"{name}={value}" for name, value in SETTINGS.items())
    return {
        "date": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "machine": f"{os.cpu_count()} cores, {_cpu()}, {_memory_gb():.0f} GB RAM, "
        f"{platform.system()} {platform.release()}",
        "load before": _load(),
        "versions": f"{platform.python_implementation()} {platform.python_version()}, "
        + ", ".join(f"{name} {_version(name)}" for name in PACKAGES),
        "database": f"PostgreSQL {row[0] if row else '?'} (embedded, socket): {settings}",
    }


def _cpu() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _memory_gb() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30


def _load() -> str:
    return " ".join(f"{load:.1f}" for load in os.getloadavg())


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "?"
