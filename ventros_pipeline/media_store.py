"""Media files in the archive's store, named by their content.

What belongs here: where a file lies, and that it is there once. What does not: where its bytes come
from. The same picture sent to a hundred chats is one file.
"""

from __future__ import annotations

import hashlib

from ventros_pipeline.stores import Store

# No channel key is this short.
FOLDER = "media"


class MediaStore:
    """The content-addressed files of an archive."""

    def __init__(self, store: Store) -> None:
        """Use the store of the archive."""
        self.store = store

    def name(self, sha256: str) -> str:
        """Return the name of the file with this content."""
        return f"{FOLDER}/{sha256[:2]}/{sha256[2:4]}/{sha256}"

    def put(self, content: bytes) -> str:
        """Store a file and return its SHA-256, hex; it has its name only when it is whole.

        Raises:
            ArchiveError: the file cannot be written.
        """
        sha256 = hashlib.sha256(content).hexdigest()
        name = self.name(sha256)
        if self.store.size(name) is None:
            self.store.put(name, content)
        return sha256

    def delete(self, sha256: str) -> None:
        """Delete a file that nobody has any more; it may be gone already.

        Raises:
            ArchiveError: the file cannot be deleted.
        """
        self.store.delete(self.name(sha256))
