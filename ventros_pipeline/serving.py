"""The Dagster UI with its daemon: all of it as one family, or a part alone in its own container.

What belongs here: Dagster's programs and how they end. What does not: its configuration
(`instance.py`), and workers (`workers.py`).
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Literal, NoReturn

import yaml

from ventros_pipeline.settings import Settings

HOST = "127.0.0.1"
# Dagster's own processes are given 2 s each to end; a run in flight is not waited for.
GRACE_SECONDS = 20
WATCH_SECONDS = 2
# Looks without a code server before it counts as gone: at a reload the next one starts before the
# last one ends.
_LOOKS = 3
_PACKAGE = Path(__file__).parent
# As in `workspace.yaml`: sensors, schedules and their cursors are keyed by it.
LOCATION = "ventros_pipeline"
Part = Literal["webserver", "daemon", "code"]


class ServingError(Exception):
    """The UI cannot be served; the message says what to do."""


def workspace_file(settings: Settings) -> Path:
    """Return `workspace.yaml`: in a wheel inside the package, in a checkout beside it.

    Where a code server is served alone, one is written that names it.
    """
    if settings.code_server is not None:
        host, _, port = settings.code_server.rpartition(":")
        server = {"host": host, "port": int(port), "location_name": LOCATION}
        written = settings.dagster_home / "workspace.yaml"
        written.write_text(yaml.safe_dump({"load_from": [{"grpc_server": server}]}), "utf-8")
        return written
    inside = _PACKAGE / "workspace.yaml"
    return inside if inside.exists() else _PACKAGE.parent / "workspace.yaml"


def serve_ui(settings: Settings) -> int:
    """Run webserver, daemon and code server until interrupted; return the exit code.

    `instance.prepare_home` has pointed the environment at this home.

    Raises:
        ServingError: something else listens on the port, or the code server has ended.
    """
    _refuse_taken_port(settings.ui_port)
    os.environ["VENTROS_HOME"] = str(settings.home.resolve())
    # Every process of Dagster repeats which parts of it are in beta; the lock file pins them.
    os.environ.setdefault("PYTHONWARNINGS", "ignore")
    command = [
        *(sys.executable, "-m", "dagster", "dev"),
        *("--workspace", str(workspace_file(settings))),
        *("--host", HOST, "--port", str(settings.ui_port)),
        *("--log-level", "warning"),
        *("--log-format", "json" if settings.log_format == "json" else "colored"),
    ]
    # A service manager or a closed terminal ends us as Ctrl-C does; `nohup` is left alone. SIGINT
    # is set anew: the children of a shell's background job would inherit that it is ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:
        signal.signal(signal.SIGHUP, signal.default_int_handler)
    # A group of its own: an interrupt reaches only us, and we end the whole family in order.
    child = subprocess.Popen(command, start_new_session=True)  # noqa: S603
    try:
        return _watched(child)
    except KeyboardInterrupt:
        return 0
    finally:
        _end_family(child)


def _watched(child: subprocess.Popen[bytes]) -> int:
    """Wait until Dagster ends, which it does by itself only when something is wrong.

    It ends when its webserver or its daemon does. When its code server is killed, which a machine
    short of memory does, it goes on, and shows a code location that never comes back.

    Raises:
        ServingError: there is no code server any more.
    """
    without = None  # Until the first one was seen.
    while True:
        try:
            return child.wait(WATCH_SECONDS) or 1
        except subprocess.TimeoutExpired:
            if _has_code_server(child.pid):
                without = 0
            elif without is not None and (without := without + 1) == _LOOKS:
                raise ServingError(
                    "Dagster's code server has ended, and Dagster does not start another one, so "
                    "everything was stopped: run `ventros up` again, or let a service manager do "
                    "so. What was committed is kept; imports go on where they were"
                ) from None


def _has_code_server(pid: int) -> bool:
    import psutil

    with suppress(psutil.Error):
        for process in psutil.Process(pid).children(recursive=True):
            with suppress(psutil.Error):
                words = process.cmdline() or ()  # None while it ends.
                if "grpc" in words and process.status() != psutil.STATUS_ZOMBIE:
                    return True
    return False


def part_command(settings: Settings, part: Part, host: str) -> list[str]:
    """Return the program that serves one part of the UI alone.

    Raises:
        ServingError: it is a code server, and nobody would know where.
    """
    program = [sys.executable, "-m"]
    style = "json" if settings.log_format == "json" else "colored"
    if part == "code":
        if settings.code_server is None:
            raise ServingError(
                "nobody would find this code server: set VENTROS_CODE_SERVER to its HOST:PORT, "
                "here and where webserver and daemon run"
            )
        port = settings.code_server.rpartition(":")[2]
        # Without a folder of its own: each host imports what is installed there.
        where = ["--empty-working-directory", "--module-name", "ventros_pipeline.definitions"]
        where += ["--location-name", LOCATION, "--host", host, "--port", port]
        return [*program, "dagster", "api", "grpc", *where, "--log-format", style]
    workspace = ["--workspace", str(workspace_file(settings)), "--log-format", style]
    if part == "daemon":
        return [*program, "dagster._daemon", "run", *workspace, "--log-level", "warning"]
    address = ["--host", host, "--port", str(settings.ui_port)]
    return [*program, "dagster_webserver", *address, *workspace]


def serve_part(settings: Settings, part: Part, host: str) -> NoReturn:
    """Become the program of one part; whoever started this process ends that."""
    command = part_command(settings, part, host)
    os.environ.setdefault("PYTHONWARNINGS", "ignore")
    os.execv(command[0], command)  # noqa: S606


def _refuse_taken_port(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            raise ServingError(
                f"port {port} of {HOST} is taken, perhaps by another `ventros up`: end that, or "
                "set VENTROS_UI_PORT to a free port"
            ) from None


def _end_family(child: subprocess.Popen[bytes]) -> None:
    """End the child, which ends its own children in order; whatever is left then is killed."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # A second Ctrl-C must leave nobody behind.
    if child.poll() is None:
        child.send_signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            child.wait(timeout=GRACE_SECONDS)
    with suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
