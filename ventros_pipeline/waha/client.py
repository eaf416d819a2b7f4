"""The HTTP client of one WAHA session: every request this project sends to WAHA starts here.

What belongs here: addresses of endpoints, their parameters, authentication, retries, size limits,
and turning an answer into Python values or an error. What does not: in which order messages are
read (`reading.py`) and what is in them (`wire.py`).
"""

from __future__ import annotations

import re
import threading
import time
import zlib
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import Any, Literal, Self, TypeVar
from urllib.parse import quote

import httpx
import msgspec
import stamina

from ventros_pipeline.logs import Log, log_of
from ventros_pipeline.waha.courtesy import (
    Breaker,
    Courtesy,
    NoCourtesy,
    NoTurnError,
    RestingError,
    State,
    server_key,
)
from ventros_pipeline.waha.errors import (
    WahaConfigurationError,
    WahaError,
    WahaGarbledError,
    WahaNotReadyError,
    WahaProtocolError,
    WahaTransientError,
    WahaUnsupportedError,
    error_for,
    not_ready,
    where,
)
from ventros_pipeline.waha.guard import check_host, server_transport
from ventros_pipeline.waha.ids import AddressKind, kind_of, normalise
from ventros_pipeline.waha.jsontext import has_more, repair, split_array
from ventros_pipeline.waha.sockets import within

ALL_CHATS = "all"

# Longest wait a server's Retry-After is granted, in seconds: a proxy that says "tomorrow" must not
# hold a run.
RETRY_AFTER_LIMIT = 60.0
_LISTING_PAGE = 500
# Times that a session which has answered before may be not ready, and the wait before asking again.
_FLAPS = 3
_FLAP_SECONDS = 3.0
_ERROR_BODY = 64 * 1024
_LOG = log_of("waha")
_LONGEST_URL = 2048
# What a decoded value takes beside its text is bounded by how many there are: 256 MB of `0,0,0` are
# ten times as much in memory. The widest page of a true server has two million.
_MOST_VALUES = 4_000_000
_MOST_ROWS = 262_144
# Chats, contacts or LIDs of one account; WhatsApp has some ten thousand of the fullest.
_MOST_LISTED = 2_000_000
# Bytes that are unpacked at once.
_UNPACKED = 1024 * 1024
# As a person writes a version; what else it holds is not shown to one.
_VERSION_TEXT = re.compile(r"[\w.+-]{1,40}", re.ASCII)

_SESSION = "/api/sessions/{session}"
_VERSION = "/api/server/version"
_VERSION_OLD = "/api/version"
_CHATS = "/api/{session}/chats"
_MESSAGES = "/api/{session}/chats/{chatId}/messages"
_MESSAGE = "/api/{session}/chats/{chatId}/messages/{messageId}"
_CONTACTS = "/api/contacts/all"
_PICTURE = "/api/contacts/profile-picture"
_LIDS = "/api/{session}/lids"
_LID = "/api/{session}/lids/{lid}"
_GROUPS = "/api/{session}/groups"

_RAW_LIST = msgspec.json.Decoder(list[msgspec.Raw])
_ENGINE_DATA = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)

T = TypeVar("T")
Params = Mapping[str, str | int]


class Engine(StrEnum):
    """The WhatsApp engine behind a WAHA server."""

    NOWEB = "NOWEB"
    GOWS = "GOWS"
    WEBJS = "WEBJS"
    WPP = "WPP"
    UNKNOWN = "UNKNOWN"


@dataclass(frozen=True)
class WahaServer:
    """Where one WAHA session is and how patiently to talk to it.

    Attributes:
        base_url: WAHA's own address, e.g. `http://waha:3000`, without `/api`.
        session: session name, `^[a-zA-Z0-9_-]{1,54}$`.
        api_key: the plain key, or empty for a server without one.
        connect_timeout: seconds.
        read_timeout: seconds without a byte; WAHA itself waits up to 15 s for a session.
        total_timeout: seconds for one try all in all, however it trickles; above those 15 s too.
        slow_timeout: both of them for a request that has a browser's database walked (WEBJS, WPP),
            whose own limit is 300 s. Giving up before it does would start a second walk beside it.
        attempts: tries for one request while the failure is transient.
        body_limit: largest answer read into memory, bytes.
        hosts: servers that a channel may name (`guard.check_host`); none means any.
    """

    base_url: str
    session: str
    api_key: str = field(default="", repr=False)
    connect_timeout: float = 10.0
    read_timeout: float = 60.0
    total_timeout: float = 120.0
    slow_timeout: float = 330.0
    attempts: int = 5
    body_limit: int = 256 * 1024 * 1024
    hosts: frozenset[str] = frozenset()


@dataclass(frozen=True)
class RequestStats:
    """What a client has asked so far: counts, bytes received, seconds spent in requests."""

    requests: int = 0
    retries: int = 0
    bytes: int = 0
    seconds: float = 0.0


@dataclass(frozen=True)
class Me:
    """The account itself, as the session knows it; addresses normalised."""

    id: str | None = None
    lid: str | None = None
    push_name: str | None = None

    @property
    def own_addresses(self) -> frozenset[str]:
        """Every address under which the account's own messages may stand."""
        return frozenset(a for a in (self.id, self.lid) if a)


@dataclass(frozen=True)
class Probe:
    """What the server is, asked before anything is read.

    Attributes:
        version: as WAHA says it, e.g. `2026.4.1`, or None when the key may not ask.
        version_tuple: its leading numbers, e.g. `(2026, 4, 1)`; empty when unknown.
        engine: see `Engine`.
        tier: `CORE`, `PLUS` or None.
        session_status: always `WORKING` in a probe that was returned.
        me: the account's own addresses and name.
    """

    version: str | None
    version_tuple: tuple[int, ...]
    engine: Engine
    tier: str | None
    session_status: str
    me: Me


class WahaClient:
    """Synchronous client of one WAHA session; a context manager; usable from a few threads.

    Args:
        server: where and how patiently.
        transport: an httpx transport to use instead of the network (tests).
        courtesy: what each try waits for; none lets everything through.
        breaker: what stops asking a session that keeps failing; none always asks.
        on_breaker: told when the breaker opens or closes.
        log: what is known of the lines that it writes.
        watch: called before each request; what it raises ends the call.

    Raises:
        WahaConfigurationError: from any method, when somebody has to change a setting.
        WahaNotReadyError: from any method, when the session is not WORKING.
        WahaTransientError: from any method, after the last attempt.
        WahaProtocolError: from any method, when the answer is not WAHA's.
    """

    def __init__(
        self,
        server: WahaServer,
        *,
        transport: httpx.BaseTransport | None = None,
        courtesy: Courtesy | None = None,
        breaker: Breaker | None = None,
        on_breaker: Callable[[Breaker, State], None] = lambda breaker, state: None,
        log: Log = _LOG,
        watch: Callable[[], None] = lambda: None,
    ) -> None:
        if not re.fullmatch(r"https?://[^\s/?#]+[^\s?#]*", server.base_url):
            raise WahaConfigurationError(
                "The base URL of WAHA must be http:// or https:// and a host, without a query."
            )
        if not re.fullmatch(r"[a-zA-Z0-9_-]{1,54}", server.session):
            raise WahaConfigurationError(
                "A WAHA session name has 1 to 54 letters, digits, `_` or `-`."
            )
        check_host(server.base_url, server.hosts)
        self.server = server
        self._courtesy = courtesy or NoCourtesy()
        self._breaker = breaker
        self._on_breaker = on_breaker
        self._log = log
        self._watch = watch
        self._key = server_key(server.base_url)
        self._lock = threading.Lock()
        self._flaps: int | None = None
        self._stats = RequestStats()
        self._http = httpx.Client(
            base_url=server.base_url.rstrip("/"),
            headers=_headers(server.api_key),
            follow_redirects=False,
            trust_env=False,
            transport=transport or server_transport(),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    @property
    def stats(self) -> RequestStats:
        """What this client has asked so far."""
        with self._lock:
            return self._stats

    def probe(self) -> Probe:
        """Ask what the server is and whether the session can be read.

        The session is asked first because that endpoint answers at once, while every data endpoint
        waits 5 to 15 s before it says that a session is not WORKING. A key scoped to one session
        may not ask for the version (403): the engine then comes from the session.

        Returns:
            The probe of a WORKING session.

        Raises:
            WahaNotReadyError: the session exists and is not WORKING.
        """
        session = self._object(_SESSION)
        status = str(session.get("status"))
        if status != "WORKING":
            raise not_ready(self.server.session, _SESSION, status)
        version = self._version()
        inner = session.get("engine")
        engine = version.get("engine") or (inner.get("engine") if isinstance(inner, dict) else None)
        text = _shown(version.get("version"))
        return Probe(
            version=text,
            version_tuple=_version_tuple(text),
            engine=Engine(engine) if engine in set(Engine) else Engine.UNKNOWN,
            tier=_shown(version.get("tier")),
            session_status=status,
            me=_me(session.get("me")),
        )

    def session_info(self) -> dict[str, Any]:
        """Return the session as WAHA describes it, with its configuration; it may hold secrets."""
        return self._object(_SESSION)

    def chats(self) -> list[dict[str, Any]]:
        """List every chat as the engine describes it (`merge=false`: LID halves on their own)."""
        return self._listing(_CHATS, {"merge": "false", "sortBy": "id", "sortOrder": "asc"}, "id")

    def newest_chats(self, limit: int) -> list[dict[str, Any]]:
        """List the chats that moved last, in one request; see `chats` for all of them."""
        params = {"merge": "false", "sortBy": "conversationTimestamp", "sortOrder": "desc"}
        return self._get(_CHATS, self._items, {**params, "limit": limit, "offset": 0})

    def contacts(self) -> list[dict[str, Any]]:
        """List every contact as the engine describes it; groups and LIDs may be among them."""
        params = {"session": self.server.session, "sortBy": "id", "sortOrder": "asc"}
        return self._listing(_CONTACTS, params, "id")

    def lids(self) -> list[dict[str, Any]]:
        """List every known pair `{"lid": "…@lid", "pn": "…@c.us"}`."""
        return self._listing(_LIDS, {}, "lid")

    def phone_of_lid(self, lid: str) -> str | None:
        """Ask for the phone address of one LID, normalised; None when WAHA does not know it.

        Args:
            lid: normalised, `…@lid`.

        Raises:
            WahaUnsupportedError: this server answers for no single LID: it is old (404), or its
                engine cannot (501).
        """
        try:
            answer = self._get(_LID, self._one, {}, lid=lid)
        except (WahaConfigurationError, WahaProtocolError) as error:
            # "Session not found" is a 404, too, but one that a setting mends.
            is_old = error.status == 404 and isinstance(error, WahaProtocolError)
            if not is_old and error.status != 501:
                raise
            raise WahaUnsupportedError(
                f"{where(self.server.session, _LID)}: HTTP {error.status}. This server does not "
                "say whose a single LID is; a newer WAHA does.",
                status=error.status,
                endpoint=_LID,
                session=self.server.session,
            ) from None
        phone = normalise(_text(answer.get("pn")) or "")
        return phone if phone and kind_of(phone) is AddressKind.PERSON else None

    def profile_picture(self, address: str) -> str | None:
        """Ask where the profile picture of a person is; None when WhatsApp shows none.

        WAHA keeps an answer for a day, and asking WhatsApp more often is answered with a ban on
        asking; so it is never told to refresh.
        """
        params = {"session": self.server.session, "contactId": address, "refresh": "false"}
        try:
            answer = self._get(_PICTURE, self._one_or_none, params) or {}
        except WahaProtocolError as error:
            if error.status != 404:
                raise
            return None
        url = _text(answer.get("profilePictureURL"))
        # It is shown in a browser: anything but a web address is none.
        if url is None or len(url) > _LONGEST_URL or not re.fullmatch(r"https?://\S+", url):
            return None
        return url

    def groups(self) -> list[dict[str, Any]]:
        """List every group with its participants; a list on every engine.

        NOWEB answers an object keyed by group id, the other engines an array.
        """
        return self._listing(_GROUPS, {"sortBy": "id", "sortOrder": "asc"}, "id")

    def messages(
        self,
        chat_id: str,
        *,
        limit: int,
        offset: int = 0,
        gte: int | None = None,
        lte: int | None = None,
        order: Literal["asc", "desc"] = "asc",
        from_me: bool | None = None,
        slow: bool = False,
    ) -> list[bytes]:
        """Read one page of messages.

        Args:
            chat_id: a chat, or `all` (NOWEB and GOWS).
            limit: rows WAHA takes from its store, at least 1; it may drop some of them afterwards,
                so a page may be shorter than `limit`, even empty, with more behind it.
            offset: rows to skip, counted before that dropping.
            gte: lower bound of the timestamp, seconds, inclusive.
            lte: upper bound of the timestamp, seconds, inclusive.
            order: by timestamp; rows of one second have no order.
            from_me: only own (True) or only others' (False) messages.
            slow: grant the time that the walk of a browser's database takes.

        Returns:
            The JSON text of each row, as WAHA sent it.
        """
        if limit < 1 or offset < 0:
            # WAHA answers `[]` to limit=0, everything to a negative limit, 500 to a bad offset.
            raise ValueError("limit must be at least 1 and offset at least 0")
        params: dict[str, str | int] = {
            "limit": limit,
            "offset": offset,
            "sortOrder": order,
            "downloadMedia": "false",
            "merge": "false",
        }
        if gte is not None:
            params["filter.timestamp.gte"] = gte
        if lte is not None:
            params["filter.timestamp.lte"] = lte
        if from_me is not None:
            params["filter.fromMe"] = "true" if from_me else "false"
        return self._get(_MESSAGES, self._rows, params, chat_id, slow=slow)

    def message(
        self, chat_id: str, message_id: str, *, download_media: bool
    ) -> Mapping[str, Any] | None:
        """Read one message; None when WAHA does not know it.

        Args:
            chat_id: its chat.
            message_id: WAHA's full id of it.
            download_media: whether WAHA fetches its file from WhatsApp and gives a link, which can
                take minutes.
        """
        params = {"downloadMedia": "true" if download_media else "false", "merge": "true"}
        try:
            return self._get(
                _MESSAGE, self._one_or_none, params, chat_id, message_id, slow=download_media
            )
        except WahaProtocolError as error:
            if error.status != 404:
                raise
            return None

    def turn(self) -> AbstractContextManager[None]:
        """Take a turn at the server, for a request that is not made by this client."""
        return self._courtesy.turn(self._key)

    def _version(self) -> dict[str, Any]:
        for endpoint in (_VERSION, _VERSION_OLD):
            try:
                return self._object(endpoint)
            except (WahaConfigurationError, WahaProtocolError) as error:
                if error.status not in (403, 404):
                    raise
        return {}

    def _listing(self, endpoint: str, params: Params, key: str) -> list[dict[str, Any]]:
        """Page through a listing until a page brings nothing that is new.

        That ends both on an empty page and on a server that ignores `offset` or `limit`.
        """
        found: dict[str, dict[str, Any]] = {}
        offset = 0
        while True:
            page = {**params, "limit": _LISTING_PAGE, "offset": offset}
            items = self._get(endpoint, self._items, page)
            known = len(found)
            for item in items:
                found.setdefault(_listing_key(item, key), item)
            if len(found) == known:
                return list(found.values())
            if len(found) > _MOST_LISTED:
                raise self._strange(endpoint, f"the list has more than {_MOST_LISTED:,} entries")
            offset += _LISTING_PAGE

    def _items(self, body: bytes, endpoint: str) -> list[dict[str, Any]]:
        answer = self._decode(body, endpoint)
        values: Iterable[Any] = answer.values() if isinstance(answer, dict) else answer
        if not isinstance(answer, dict | list):
            raise self._strange(endpoint, "the answer is no list")
        return [item for item in values if isinstance(item, dict)]

    def _object(self, endpoint: str) -> dict[str, Any]:
        return self._get(endpoint, self._one, {})

    def _one(self, body: bytes, endpoint: str) -> dict[str, Any]:
        answer = self._decode(body, endpoint)
        if not isinstance(answer, dict):
            raise self._strange(endpoint, "the answer is no object")
        return answer

    def _one_or_none(self, body: bytes, endpoint: str) -> dict[str, Any] | None:
        # WAHA answers 200 with nothing for some things it does not know.
        return self._one(body, endpoint) if body.strip() not in (b"", b"null") else None

    def _decode(self, body: bytes, endpoint: str) -> Any:
        if sum(map(body.count, (b",", b"[", b"{"))) > _MOST_VALUES:
            raise self._too_large(endpoint, f"has more than {_MOST_VALUES:,} values")
        try:
            return msgspec.json.decode(repair(body))
        except _ENGINE_DATA:
            raise self._strange(endpoint, _what_instead(body)) from None

    def _rows(self, body: bytes, endpoint: str) -> list[bytes]:
        if body.count(b",") > _MOST_VALUES and has_more(body, _MOST_ROWS):
            raise self._too_large(endpoint, f"has more than {_MOST_ROWS:,} rows")
        try:
            return [bytes(row) for row in _RAW_LIST.decode(body)]
        except _ENGINE_DATA:
            pass
        try:
            return split_array(body)
        except ValueError:
            raise self._strange(endpoint, _what_instead(body)) from None

    def _strange(self, endpoint: str, what: str) -> WahaGarbledError:
        return WahaGarbledError(
            f"{where(self.server.session, endpoint)}: {what}. Check that the base URL is WAHA's "
            "own address and not a dashboard, a login page or another service.",
            endpoint=endpoint,
            session=self.server.session,
        )

    def _get(
        self,
        endpoint: str,
        parse: Callable[[bytes, str], T],
        params: Params,
        chat_id: str = "",
        message_id: str = "",
        *,
        lid: str = "",
        slow: bool = False,
    ) -> T:
        """Ask until there is an answer that can be read, as often as the policy allows."""
        path = endpoint.replace("{session}", quote(self.server.session, safe=""))
        path = path.replace("{chatId}", quote(chat_id, safe=""))
        path = path.replace("{messageId}", quote(message_id, safe=""))
        path = path.replace("{lid}", quote(lid, safe=""))
        retrying = stamina.retry_context(
            on=self._worth_another_try,
            attempts=self.server.attempts,
            timeout=None,
            wait_initial=0.5,
            wait_max=20.0,
            wait_jitter=1.0,
        )
        failed: list[tuple[WahaError, float]] = []
        for attempt in retrying:
            self._watch()
            if failed:
                self._tell_retry(endpoint, attempt.num, *failed.pop())
            with attempt, _kept(failed), self._watched(endpoint), self._courtesy.turn(self._key):
                body = self._once(endpoint, path, params, retry=attempt.num > 1, slow=slow)
                answer = parse(body, endpoint)
                self._flaps = 0
                return answer
        raise AssertionError("stamina either returns or raises")

    def _tell_retry(self, endpoint: str, number: int, error: WahaError, failed_at: float) -> None:
        self._log.info(
            "retry",
            endpoint=endpoint,
            attempt=number,
            attempts=self.server.attempts,
            status=error.status,
            error=type(error).__name__,
            waited=time.monotonic() - failed_at,
        )

    def _worth_another_try(self, error: Exception) -> bool | float:
        if isinstance(error, WahaNotReadyError):
            return self._flapped()
        if isinstance(error, NoTurnError | RestingError):
            return False
        if isinstance(error, WahaTransientError) and error.retry_after is not None:
            return error.retry_after
        return isinstance(error, WahaTransientError | WahaGarbledError)

    def _flapped(self) -> bool | float:
        """Grant a session that has just answered a moment: connections blink for seconds.

        A session that has answered nothing yet is left alone at once, for WAHA itself has already
        waited for it.
        """
        with self._lock:
            if self._flaps is None or self._flaps >= _FLAPS:
                return False
            self._flaps += 1
            return _FLAP_SECONDS

    @contextmanager
    def _watched(self, endpoint: str) -> Iterator[None]:
        """Ask the breaker first, and tell it what came of the try.

        Being told to slow down (429) or to mend a setting is an answer of a server that is well.
        """
        if self._breaker is None:
            yield
            return
        self._breaker.admit(where(self.server.session, endpoint))
        failed = True
        try:
            yield
            failed = False
        except (WahaTransientError, WahaNotReadyError, WahaGarbledError) as error:
            failed = error.status != 429 and not isinstance(error, NoTurnError)
            raise
        except WahaError:
            failed = False
            raise
        finally:
            if (changed := self._breaker.record(failed=failed)) is not None:
                self._tell_breaker(self._breaker, changed)

    def _tell_breaker(self, breaker: Breaker, changed: State) -> None:
        if changed is State.OPEN:
            self._log.warning("breaker opened", rest=breaker.rest)
        else:
            self._log.info("breaker closed")
        self._on_breaker(breaker, changed)

    def _once(self, endpoint: str, path: str, params: Params, *, retry: bool, slow: bool) -> bytes:
        started, received = time.monotonic(), 0
        patience = self.server.slow_timeout if slow else self.server.read_timeout
        timeout = httpx.Timeout(patience, connect=self.server.connect_timeout)
        total = self.server.slow_timeout if slow else self.server.total_timeout
        try:
            with (
                within(total),
                self._http.stream("GET", path, params=params, timeout=timeout) as response,
            ):
                body = self._body(response, endpoint)
                received = len(body)
                if response.is_success:
                    return body
                raise error_for(
                    response.status_code,
                    body,
                    session=self.server.session,
                    endpoint=endpoint,
                    retry_after=_retry_after(response.headers.get("Retry-After")),
                )
        except httpx.HTTPError as error:
            raise self._unreachable(endpoint, error) from None
        finally:
            self._count(time.monotonic() - started, received, retry=retry)

    def _body(self, response: httpx.Response, endpoint: str) -> bytes:
        limit = self.server.body_limit if response.is_success else _ERROR_BODY
        body = bytearray()
        with closing(self._chunks(response, endpoint)) as chunks:
            for chunk in chunks:
                body += chunk
                if len(body) > limit:
                    break
        if len(body) > limit and response.is_success:
            raise self._too_large(endpoint, f"is larger than {limit:,} bytes")
        return bytes(body)

    def _chunks(self, response: httpx.Response, endpoint: str) -> Generator[bytes, None, None]:
        """Yield a body piece by piece, unpacked where a proxy has packed it unasked.

        Not as httpx unpacks: one piece of 64 KB, packed twice, is gigabytes of zeros at once.
        """
        match response.headers.get("Content-Encoding", "identity").strip().lower():
            case "identity" | "":
                yield from response.iter_bytes()
            case "gzip" | "x-gzip" | "deflate":
                try:
                    yield from _unpacked(response.iter_raw())
                except zlib.error:
                    raise self._strange(endpoint, "the answer is damaged") from None
            case _:
                raise self._strange(endpoint, "the answer is packed, although none was asked for")

    def _too_large(self, endpoint: str, what: str) -> WahaProtocolError:
        return WahaProtocolError(
            f"{where(self.server.session, endpoint)}: the answer {what}. Ask for smaller pages "
            "(VENTROS_PAGE_SIZE), or raise the limit on an answer's size (VENTROS_BODY_LIMIT_MB).",
            endpoint=endpoint,
            session=self.server.session,
        )

    def _unreachable(self, endpoint: str, error: httpx.HTTPError) -> WahaError:
        # The text of an httpx error may quote the URL with the chat's number: only its class is
        # told.
        return WahaTransientError(
            f"{where(self.server.session, endpoint)}: no answer ({type(error).__name__}). Check "
            "that WAHA runs and that the base URL, its port and its certificate are right.",
            endpoint=endpoint,
            session=self.server.session,
        )

    def _count(self, seconds: float, received: int, *, retry: bool) -> None:
        with self._lock:
            was = self._stats
            self._stats = replace(
                was,
                requests=was.requests + 1,
                retries=was.retries + retry,
                bytes=was.bytes + received,
                seconds=was.seconds + seconds,
            )


@contextmanager
def _kept(failed: list[tuple[WahaError, float]]) -> Iterator[None]:
    """Keep what a try failed with, and when, for whoever tries again."""
    try:
        yield
    except WahaError as error:
        failed.append((error, time.monotonic()))
        raise


def _headers(api_key: str) -> dict[str, str]:
    # WAHA offers no compression; asking for none keeps the body limit a limit on what is sent.
    headers = {
        "Accept": "application/json",
        "Accept-Encoding": "identity",
        # The same question, hours apart, must not get an answer that a proxy has kept.
        "Cache-Control": "no-cache",
    }
    return {**headers, "X-Api-Key": api_key} if api_key else headers


def _retry_after(value: str | None, now: Callable[[], datetime] | None = None) -> float | None:
    """Read `Retry-After`, seconds or HTTP date, clamped to 0 … `RETRY_AFTER_LIMIT` seconds."""
    if value is None:
        return None
    text = value.strip()
    if re.fullmatch(r"\d{1,12}(\.\d+)?", text):
        return min(float(text), RETRY_AFTER_LIMIT)
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    clock = now() if now else datetime.now(UTC)
    return min(max((aware - clock).total_seconds(), 0.0), RETRY_AFTER_LIMIT)


def _unpacked(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield what gzip or deflate has packed, in pieces of a bounded size."""
    packed = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)
    for chunk in chunks:
        rest = chunk
        while rest:
            yield packed.decompress(rest, _UNPACKED)
            rest = packed.unconsumed_tail
    yield packed.flush()


def _what_instead(body: bytes) -> str:
    start = body[:200].lstrip()
    if not start:
        return "the answer is empty"
    return "the answer is a web page, not JSON" if start[:1] == b"<" else "the answer is no JSON"


def _version_tuple(version: str | None) -> tuple[int, ...]:
    match = re.match(r"\d{1,6}(?:\.\d{1,6})*", version or "")
    return tuple(int(part) for part in match[0].split(".")) if match else ()


def _me(value: object) -> Me:
    if not isinstance(value, dict):
        return Me()
    address, lid = _text(value.get("id")), _text(value.get("lid"))
    return Me(
        normalise(address) if address else None,
        normalise(lid) if lid else None,
        _text(value.get("pushName")),
    )


def _shown(value: object) -> str | None:
    """Return a text of the server's that people are shown, if it is one that they could expect."""
    return value if isinstance(value, str) and _VERSION_TEXT.fullmatch(value) else None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _listing_key(item: dict[str, Any], key: str) -> str:
    """Name a listed item; WEBJS ids are objects, and an item without an id is still an item."""
    value = item.get(key)
    if isinstance(value, dict):
        value = value.get("_serialized") or value.get("$1")
    return value if isinstance(value, str) else repr(item)
