"""The Dagster UI with its daemon, as a child process of `ventros up` and `ventros demo`."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from ventros_pipeline.settings import Settings

_PACKAGE = Path(__file__).parent


def workspace_file() -> Path:
    """Return `workspace.yaml`: in a wheel inside the package, in a checkout beside it."""
    inside = _PACKAGE / "workspace.yaml"
    return inside if inside.exists() else _PACKAGE.parent / "workspace.yaml"


def serve_ui(settings: Settings) -> int:
    """Run webserver, daemon and code server until interrupted; return the exit code.

    `instance.prepare_home` has pointed the environment at this home.
    """
    os.environ["VENTROS_HOME"] = str(settings.home.resolve())
    command = [
        *(sys.executable, "-W", "ignore", "-m", "dagster", "dev"),
        *("--workspace", str(workspace_file())),
        *("--host", "127.0.0.1", "--port", str(settings.ui_port)),
        *("--log-level", "warning"),
    ]
    # A group of its own: an interrupt reaches us, and we end the whole family in order.
    child = subprocess.Popen(command, start_new_session=True)  # noqa: S603
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        return child.wait()
    except KeyboardInterrupt:
        os.killpg(child.pid, signal.SIGINT)
        try:
            child.wait(timeout=20)
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)
        return 0
