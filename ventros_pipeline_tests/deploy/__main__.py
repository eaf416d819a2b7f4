"""Carry out the Dockerfile's steps without a Docker engine, and let Compose read its manifest.

    python -m ventros_pipeline_tests.deploy

Needs root and, of Debian, debootstrap and docker-compose. Each stage is a root of its own, made by
debootstrap with Debian's Python in the place of the base image, which cannot be fetched here: the
steps, the wheels and their hashes are the image's, the interpreter and the layers are not.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from ventros_pipeline_tests.deploy.dockerfile import DEPLOY, ROOT, Stage, Step, stages

SUITE = "bookworm"
# How this machine reaches package registries is its own business, and the steps need it.
LENT = ("/etc/resolv.conf", "/etc/hosts", "/etc/pip.conf", "/etc/ssl/certs/ca-certificates.crt")
LENT_VARIABLES = ("PIP_", "SSL_CERT", "REQUESTS_CA", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")
FOREIGN = ("gcc", "cc", "make", "pip", "pip3", "hatchling", "ruff", "pytest", "git")


def main() -> int:
    """Return the exit code."""
    _demand("debootstrap", "docker-compose", "unshare", "chroot")
    with tempfile.TemporaryDirectory(prefix="vtimage", dir="/tmp") as folder:
        _compose(Path(folder))
        base = Path(folder) / "base"
        _say("a clean root of Debian")
        packages = "--include=python3-venv,ca-certificates"
        _run(["debootstrap", "--variant=minbase", packages, SUITE, str(base)])
        roots: dict[str, Path] = {}
        for stage in stages():
            root = Path(folder) / (stage.name or "final")
            _run(["cp", "-a", str(base), str(root)])
            _build(stage, root, roots)
            roots[stage.name] = root
        _look(stages()[-1], root)
    print("The image's steps go through, and what they make runs as its user on a read-only root.")
    return 0


def _compose(folder: Path) -> None:
    _say("docker-compose config")
    _run(["cp", "-r", str(DEPLOY), str(folder / "deploy")])
    make = str(folder / "deploy" / "make-secrets.sh")
    _run([make], environment={"WAHA_KEY": "a-key"})
    file = str(folder / "deploy" / "compose.yaml")
    profiles = ["--profile", "celery", "--profile", "waha"]
    _run(["docker-compose", "-f", file, *profiles, "config", "--quiet"])


def _build(stage: Stage, root: Path, roots: Mapping[str, Path]) -> None:
    lent = [Path(path) for path in LENT if Path(path).exists()]
    for path in lent:
        target = root / path.relative_to("/")
        target.unlink(missing_ok=True)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    environment, folder = {"PATH": "/usr/local/bin:/usr/bin:/usr/sbin:/bin:/sbin"}, "/"
    for step in stage.steps:
        began = time.monotonic()
        if step.verb == "ENV":
            environment |= step.variables
        elif step.verb == "WORKDIR":
            folder = step.text
            (root / folder.lstrip("/")).mkdir(parents=True, exist_ok=True)
        elif step.verb == "COPY":
            _copy(step, root, folder, roots)
        elif step.verb == "RUN":
            _in_root(root, ["sh", "-ec", f"cd {folder} && {step.text}"], environment | _lent())
        else:
            continue
        _say(f"{stage.name or 'final'}: {step.verb} {step.text[:70]}", time.monotonic() - began)


def _copy(step: Step, root: Path, folder: str, roots: Mapping[str, Path]) -> None:
    *sources, target = step.paths
    origin = roots[step.origin] if step.origin else ROOT
    there = root / (target if target.startswith("/") else f"{folder}/{target}").lstrip("/")
    for source in sources:
        path = origin / source.lstrip("/")
        if path.is_dir():
            ignored = None if step.origin else shutil.ignore_patterns("__pycache__", "secrets")
            shutil.copytree(path, there, symlinks=True, dirs_exist_ok=True, ignore=ignored)
        else:
            there.mkdir(parents=True, exist_ok=True) if target.endswith("/") else None
            shutil.copy(path, there)


def _look(stage: Stage, root: Path) -> None:
    """Try what was made: as its user, its root read-only, with nothing that builds."""
    environment: dict[str, str] = {}
    for step in stage.steps:
        environment |= step.variables if step.verb == "ENV" else {}
    home = stage.last("WORKDIR").text
    user = stage.last("USER").text
    environment |= {"VENTROS_DATABASE_URL": "postgresql+psycopg://nobody@127.0.0.1:1/none"}

    def run(*command: str) -> str:
        writable = ("/tmp", home)  # noqa: S108 -- the container's own
        return _in_root(root, command, environment, user=user, writable=writable)

    assert run("id", "-u").strip() == user.partition(":")[0]
    assert "ventros" in run(stage.command()[0], "--help")
    run("python", "-W", "ignore", "-c", "import ventros_pipeline.definitions")
    run("python", "-c", "import dagster_celery, dagster_k8s, dagster_webserver, dagster._daemon")
    written = "touch /opt/ventros/x 2>/dev/null && exit 1; touch /tmp/x $VENTROS_HOME/x"
    run("sh", "-c", written)
    there = run("sh", "-c", f"for it in {' '.join(FOREIGN)}; do command -v $it || :; done").split()
    assert not there, f"the final stage holds {there}"
    size = run("du", "-sm", "/opt/ventros").split()[0]
    _say(f"as user {user}, root read-only, nothing that builds; /opt/ventros has {size} MB")


def _in_root(
    root: Path,
    command: list[str] | tuple[str, ...],
    environment: Mapping[str, str],
    *,
    user: str = "0:0",
    writable: tuple[str, ...] = (),
) -> str:
    """Run a command in a root, with mounts that end with it; a read-only one if some is not."""
    lines = [f"mount --bind {root} {root}", f"mount -t proc proc {root}/proc"]
    lines += [f"mount --rbind /dev {root}/dev"]
    lines += [f"mount -t tmpfs -o mode=1777 tmpfs {root}{folder}" for folder in writable]
    lines += [f"mount -o remount,ro,bind {root}"] if writable else []
    lines += [f'exec {shutil.which("chroot")} --userspec={user} {root} "$@"']
    mounted = ["unshare", "--mount", "--propagation", "private", "sh", "-ec", "\n".join(lines)]
    return _run([*mounted, "sh", *command], only=environment)


def _lent() -> dict[str, str]:
    return {k: v for k, v in os.environ.items() if k.upper().startswith(LENT_VARIABLES)}


def _run(
    command: list[str],
    *,
    environment: Mapping[str, str] | None = None,
    only: Mapping[str, str] | None = None,
) -> str:
    given = dict(only) if only is not None else os.environ | dict(environment or {})
    # Found by our own PATH, whatever the root's is.
    program = [shutil.which(command[0]) or command[0], *command[1:]]
    done = subprocess.run(program, env=given, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(command)[:300]}\n{done.stdout[-2000:]}\n{done.stderr[-3000:]}")
    return done.stdout


def _demand(*programs: str) -> None:
    lacking = [name for name in programs if shutil.which(name) is None]
    if lacking or os.geteuid():
        sys.exit(f"needs root, and of Debian: {', '.join(lacking or ['nothing more'])}")


def _say(text: str, seconds: float | None = None) -> None:
    print(f"{'' if seconds is None else f'{seconds:5.1f} s'}  {text}", flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
