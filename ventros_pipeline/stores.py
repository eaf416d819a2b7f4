"""Where the archive's files lie: a folder, or a bucket of an object store.

What belongs here: whole files, by name; their atomic replacement, and what to do when the place
fails. What does not: what stands in a file (`archive.py`), and who may write it at the same time:
locks of the database see to that (`crm/turns.py`, `crm/tombstones.py`).

A folder has a rename, so a file is written beside its place, flushed, and moved there. A bucket has
none and needs none: an upload is there as a whole when it ends, or not at all, and what was there
before stays until then. Both list what was written as soon as it is.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from contextlib import suppress
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

# Without secrets: they come from the environment, where the store's own tools look for them.
BUCKET_URI = re.compile(r"(?:s3|gs|az)://[\w.-]+(?:/[\w.=-]+)*/?")
FOLDER_URI = re.compile(r"file:///\S+")
# A store that is overloaded or restarts is back in half a minute, or somebody has to look.
RETRIES: dict[str, Any] = {
    "max_retries": 8,
    "backoff": {"init_backoff": timedelta(seconds=0.1), "max_backoff": timedelta(seconds=10)},
    "retry_timeout": timedelta(minutes=2),
}
_BESIDE = ".tmp"


class ArchiveError(Exception):
    """The archive cannot be read or written; the message says what to do."""


class ArchiveUnreachableError(ArchiveError):
    """The object store does not answer, or only with errors of its own; it passes by itself."""


class ArchiveRefusedError(ArchiveError):
    """The object store does not let us in, or has no such bucket; a person has to mend it."""


class Store(Protocol):
    """Whole files by name; a name is a path with `/`, relative to the store."""

    @property
    def place(self) -> str:
        """What a person calls it: a path or an address, without secrets."""

    def get(self, name: str) -> bytes | None:
        """Return what stands in a file; None where there is none."""

    def tail(self, name: str, most: int) -> bytes | None:
        """Return the end of a file, or all of a smaller one; None where there is none."""

    def put(self, name: str, content: bytes, *, sync: bool = True) -> None:
        """Write a file anew as a whole: whatever happens, the old or the new one is there.

        Args:
            sync: whether it must outlive a power cut as soon as this returns.
        """

    def size(self, name: str) -> int | None:
        """Return the bytes of a file; None where there is none."""

    def sizes(self, folder: str) -> dict[str, int]:
        """Return the files below a folder, by name, with their bytes."""

    def delete(self, name: str) -> None:
        """Delete a file; it may be gone already."""

    def tidy(self, folder: str) -> None:
        """Delete what killed writers left below a folder, while nobody writes there."""

    def examine(self) -> None:
        """Try to write, as an import would."""

    def free(self) -> int | None:
        """Return how many bytes there is room for; None where nobody counts."""


def open_store(place: Path | str) -> Store:
    """Return the store at a folder or at a URI.

    Raises:
        ArchiveRefusedError: the environment has not what the store needs.
    """
    if isinstance(place, Path):
        return Folder(place)
    if place.startswith("file://"):
        return Folder(Path(place.removeprefix("file://")))
    return Bucket(place)


class Folder:
    """Files under a directory, which is made when the first one is written."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    @property
    def place(self) -> str:
        """The directory's path."""
        return str(self.directory)

    def get(self, name: str) -> bytes | None:
        """Read a file."""
        path = self.directory / name
        try:
            return path.read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise _unwell("read", path, error) from error

    def tail(self, name: str, most: int) -> bytes | None:
        """Read all of it: the disk is near."""
        content = self.get(name)
        return None if content is None else content[-most:]

    def put(self, name: str, content: bytes, *, sync: bool = True) -> None:
        """Write beside the file, flush to disk, then rename: a kill leaves the old or the new."""
        path = self.directory / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._write(path, content, sync=sync)
        except OSError as error:
            raise _unwell("write", path, error) from error

    def size(self, name: str) -> int | None:
        """Ask the file system."""
        path = self.directory / name
        return path.stat().st_size if path.is_file() else None

    def sizes(self, folder: str) -> dict[str, int]:
        """Walk the directory; what is being written is no file yet."""
        found = (path for path in (self.directory / folder).rglob("*") if path.is_file())
        return {
            path.relative_to(self.directory).as_posix(): path.stat().st_size
            for path in found
            if path.suffix != _BESIDE
        }

    def delete(self, name: str) -> None:
        """Unlink it."""
        path = self.directory / name
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise _unwell("delete", path, error) from error

    def tidy(self, folder: str) -> None:
        """Delete what was written beside a file and never took its place."""
        for path in (self.directory / folder).rglob(f"*{_BESIDE}"):
            self.delete(path.relative_to(self.directory).as_posix())

    def examine(self) -> None:
        """Do nothing: a folder that cannot be written says so at the first day."""

    def free(self) -> int:
        """Return what the disk has left."""
        folders = (self.directory, *self.directory.parents)
        return shutil.disk_usage(next(f for f in folders if f.exists())).free

    def _write(self, path: Path, content: bytes, *, sync: bool) -> None:
        with tempfile.NamedTemporaryFile(
            dir=path.parent, prefix=f"{path.name}.", suffix=_BESIDE, delete=False
        ) as beside:
            try:
                beside.write(content)
                beside.flush()
                if sync:
                    os.fsync(beside.fileno())
                Path(beside.name).replace(path)
            except BaseException:
                with suppress(OSError):
                    Path(beside.name).unlink(missing_ok=True)
                raise


class Bucket:
    """Files under a prefix of a bucket.

    Who we are, and where the store is if it is not the cloud's own, stands in the environment,
    under the names that the store's own tools use (`AWS_…`, `GOOGLE_…`, `AZURE_…`).
    """

    def __init__(self, uri: str) -> None:
        from obstore.exceptions import BaseError
        from obstore.store import from_url

        self.place = uri.rstrip("/")
        try:
            self._store: Any = from_url(self.place, retry_config=RETRIES)
        except (BaseError, ValueError) as error:
            raise ArchiveRefusedError(
                f"{self.place} cannot be opened ({type(error).__name__}); set the store's own "
                "variables in the environment (AWS_…, GOOGLE_… or AZURE_…)"
            ) from None

    def get(self, name: str) -> bytes | None:
        """Download a file, in one request."""
        return self._asked(lambda: bytes(self._store.get(name).bytes()), absent=None)

    def tail(self, name: str, most: int) -> bytes | None:
        """Download no more than that; Azure has to be told where the end begins."""
        size = self.size(name)
        if not size:
            return None if size is None else b""
        ask = partial(self._store.get_range, name, start=max(0, size - most), end=size)
        return self._asked(lambda: bytes(ask()), absent=None)

    def put(self, name: str, content: bytes, *, sync: bool = True) -> None:
        """Upload a file; what has ended is there for good."""
        del sync
        self._asked(lambda: self._store.put(name, content))

    def size(self, name: str) -> int | None:
        """Ask for the file's head."""
        return self._asked(lambda: int(self._store.head(name)["size"]), absent=None)

    def sizes(self, folder: str) -> dict[str, int]:
        """List what has the prefix, a thousand files a request."""

        def listed() -> dict[str, int]:
            pages = self._store.list(folder)
            return {file["path"]: file["size"] for page in pages for file in page}

        return self._asked(listed)

    def delete(self, name: str) -> None:
        """Ask for its deletion; a store says the same where there is none."""
        self._asked(lambda: self._store.delete(name), absent=None)

    def tidy(self, folder: str) -> None:
        """Do nothing: parts of an upload that was cut off are no file, and nobody can read them."""

    def examine(self) -> None:
        """Write an empty file and delete it: rights to read alone are found too late."""
        name = "ventros-doctor"
        self.put(name, b"")
        self.delete(name)

    def free(self) -> None:
        """Nobody counts."""

    def _asked(self, ask: Callable[[], Any], **otherwise: Any) -> Any:
        """Ask the store, which tries again by itself; `absent` is what no such file gives."""
        from obstore.exceptions import BaseError

        try:
            return ask()
        except FileNotFoundError:
            if "absent" in otherwise:
                return otherwise["absent"]
            raise self._refused(_NO_SUCH_BUCKET) from None
        except (BaseError, OSError) as error:
            # The library has classes for some of these, in some requests.
            status = _status(error)
            if _ABSENT.search(str(error)):
                raise self._refused(_NO_SUCH_BUCKET) from None
            if status.startswith(("401", "403")):
                raise self._refused(f"does not let us in ({status}): {_RIGHTS}") from None
            raise ArchiveUnreachableError(
                f"the object store of {self.place} does not answer ({status}); see whether it runs "
                "and can be reached, then run the same days again (what was read before is kept)"
            ) from None

    def _refused(self, why: str) -> ArchiveRefusedError:
        return ArchiveRefusedError(
            f"the object store of {self.place} {why} VENTROS_ARCHIVE_URI; then run the same days "
            "again (what was read before is kept)"
        )


# As S3, Azure and Google call it where they do not say that a file is absent.
_ABSENT = re.compile("NoSuchBucket|ContainerNotFound|bucket does not exist")
_NO_SUCH_BUCKET = "has no such bucket: make it, or correct"
_RIGHTS = (
    "give the key the right to read, write, list and delete there (AWS_…, GOOGLE_… or AZURE_… in "
    "the environment), or correct"
)
_STATUS = re.compile(r"status code: (\d{3} [A-Za-z ]+)")


def _status(error: Exception) -> str:
    """Return what the store said in short: all of it may name our key."""
    found = _STATUS.search(str(error))
    return found[1].strip() if found else "no answer"


def _unwell(verb: str, path: Path, error: OSError) -> ArchiveError:
    return ArchiveError(
        f"cannot {verb} {path}: {error.strerror}; free space or fix the permissions, then run the "
        "same again (what was kept before is there)"
    )
