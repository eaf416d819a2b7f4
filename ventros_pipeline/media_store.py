"""Media files under the archive, named by their content.

What belongs here: where a file lies and how it gets there whole. What does not: where its bytes
come from. The same picture sent to a hundred chats is one file.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path

from ventros_pipeline.archive import ArchiveError


class MediaStore:
    """The content-addressed files under one directory."""

    def __init__(self, directory: Path) -> None:
        """Use `directory`, which is made when the first file is stored."""
        self.directory = directory

    def path(self, sha256: str) -> Path:
        """Return where the file with this content lies."""
        return self.directory / sha256[:2] / sha256[2:4] / sha256

    def put(self, content: bytes) -> str:
        """Store a file and return its SHA-256, hex; it has its name only when it is whole.

        Raises:
            ArchiveError: the file cannot be written.
        """
        sha256 = hashlib.sha256(content).hexdigest()
        path = self.path(sha256)
        try:
            if not path.exists():
                path.parent.mkdir(parents=True, exist_ok=True)
                self._write(path, content)
        except OSError as error:
            raise ArchiveError(
                f"cannot write a media file under {self.directory}: {error.strerror}; free space "
                "or fix the permissions, then fetch media again"
            ) from error
        return sha256

    def delete(self, sha256: str) -> None:
        """Delete a file that nobody has any more; it may be gone already.

        Raises:
            ArchiveError: the file cannot be deleted.
        """
        try:
            self.path(sha256).unlink(missing_ok=True)
        except OSError as error:
            raise ArchiveError(
                f"cannot delete a media file under {self.directory}: {error.strerror}; fix the "
                "permissions and run the same command again"
            ) from error

    def _write(self, path: Path, content: bytes) -> None:
        """Write beside the file, flush to disk, then rename: a kill leaves nothing or the whole."""
        with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".tmp", delete=False) as beside:
            try:
                beside.write(content)
                beside.flush()
                os.fsync(beside.fileno())
                Path(beside.name).replace(path)
            except BaseException:
                Path(beside.name).unlink(missing_ok=True)
                raise
