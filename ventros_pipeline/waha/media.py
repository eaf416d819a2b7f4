"""Media files: asking WAHA for one, what its answer means, and fetching it.

What belongs here: the shapes of WAHA's media answers, the size caps, where a link really points.
What does not: the states of files (`crm/media.py`), where they lie (`media_store.py`), and which
URLs may be fetched at all (`guard.py`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import urlsplit, urlunsplit

import httpx

from ventros_pipeline.waha.client import WahaClient
from ventros_pipeline.waha.errors import WahaTransientError, error_for
from ventros_pipeline.waha.guard import FetchError, TooLargeError, UnsafeUrlError, fetch

MEGABYTE = 1024 * 1024
# Largest file of each of the CRM's content types; what its enrichment takes.
CAPS = {
    "audio": 25 * MEGABYTE,
    "voice": 25 * MEGABYTE,
    "image": 10 * MEGABYTE,
    "sticker": 10 * MEGABYTE,
    "video": 100 * MEGABYTE,
    "document": 50 * MEGABYTE,
}
_ENDPOINT = "/api/files/{session}/{file}"
# WAHA may stand under a path of its base URL; what comes before is its own idea of that.
_OWN = re.compile(r".*?(/api/files/(?!\.\.?/)[^/]+/(?!\.\.?$)[^/]+)")
_MIMETYPE = re.compile(r"[\w.+-]+/[\w.+-]+(?:; ?[\w.+=\"-]+)*", re.ASCII)


@dataclass(frozen=True)
class Link:
    """Where a file can be fetched now; WAHA deletes it again after minutes.

    Attributes:
        url: a file of the configured WAHA server, or somebody's, for example an object store's.
        own: whether it is WAHA's own: its key is needed there, and sent nowhere else.
        mimetype: as WAHA says, null if it does not.
    """

    url: str = field(repr=False)
    own: bool
    mimetype: str | None


@dataclass(frozen=True)
class File:
    """A file that came whole."""

    content: bytes = field(repr=False)
    mimetype: str | None


@dataclass(frozen=True)
class NoFile:
    """Why there is no file, which asking again does not change.

    Attributes:
        state: `expired` when it is gone, `refused` when it may not come.
        reason: machine-readable.
    """

    state: Literal["expired", "refused"]
    reason: str


MESSAGE_GONE = NoFile("expired", "message_gone")


def fetch_file(
    client: WahaClient, web: httpx.Client, chat: str, message_id: str, *, limit: int
) -> File | NoFile:
    """Ask WAHA for the file of one message and fetch it.

    Args:
        client: of the message's session.
        web: of `guarded_client`, with the client's server as the one configured origin.
        chat: WAHA's chat address.
        message_id: WAHA's id of the message.
        limit: most bytes.

    Raises:
        WahaError: there is no answer, or none that says what became of the file.
    """
    link = ask(client, chat, message_id)
    return link if isinstance(link, NoFile) else _fetched(client, web, link, limit)


def ask(client: WahaClient, chat: str, message_id: str) -> Link | NoFile:
    """Have WAHA download the file of one message from WhatsApp.

    Raises:
        WahaError: WAHA did not answer, or not as it should.
    """
    message = client.message(chat, message_id, download_media=True)
    if message is None:
        return MESSAGE_GONE
    media = message.get("media")
    if not isinstance(media, Mapping):
        return NoFile("refused", "server_gives_no_media")
    url = media.get("url")
    if not isinstance(url, str) or not url:
        # WAHA has tried five times over 12 s: the file has left WhatsApp's servers.
        return NoFile("expired", "gone_from_whatsapp")
    rebased = _rebased(url, client.server.base_url)
    return Link(rebased or url, rebased is not None, _mimetype(media.get("mimetype")))


def _rebased(url: str, base_url: str) -> str | None:
    """Return a link of WAHA's own files on the configured server; None for any other link.

    WAHA writes its own idea of its address into links, often `http://localhost:3000`.
    """
    try:
        link = urlsplit(url)
    except ValueError:
        return None
    found = _OWN.fullmatch(link.path)
    if found is None:
        return None
    base = urlsplit(base_url)
    path = base.path.rstrip("/") + found[1]
    return urlunsplit((base.scheme, base.netloc, path, link.query, ""))


def _fetched(client: WahaClient, web: httpx.Client, link: Link, limit: int) -> File | NoFile:
    key = client.server.api_key
    try:
        with client.turn() if link.own else nullcontext():
            found = fetch(
                web,
                link.url,
                max_bytes=limit,
                seconds=client.server.slow_timeout,
                headers={"X-Api-Key": key} if link.own and key else None,
            )
    except TooLargeError:
        return NoFile("refused", "too_large")
    except UnsafeUrlError:
        return NoFile("refused", "link_not_allowed")
    except FetchError as error:
        session = client.server.session
        if link.own and error.status in (401, 403):
            raise error_for(error.status, b"", session=session, endpoint=_ENDPOINT) from None
        # A link that is gone already says nothing of the file: the next try gets a new one.
        raise WahaTransientError(
            f"{error} It stays wanted: fetch media again later.",
            status=error.status,
            session=session,
            endpoint=_ENDPOINT,
        ) from None
    return File(found.content, link.mimetype or _mimetype(found.content_type))


def _mimetype(value: Any) -> str | None:
    fits = isinstance(value, str) and len(value) <= 200 and _MIMETYPE.fullmatch(value)
    return value if fits else None
