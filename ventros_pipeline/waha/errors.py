"""What can go wrong between us and a WAHA server, and what follows from it.

What belongs here: the exception classes, the table that turns an answer into one of them, and the
sentence a person needs to act. What does not: retrying (the client does it) and anything that could
carry message text, a phone number or a key into a log: WAHA's 500 body echoes SQL, paths and the
request, so no body is ever quoted.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import msgspec


class WahaError(Exception):
    """Base of everything this room raises; the message is fit for logs and for people.

    Attributes:
        status: HTTP status, or None when no answer came.
        endpoint: path template, e.g. `/api/{session}/chats/{chatId}/messages`.
        session: name of the WAHA session.
        retry_after: seconds the server asked to wait, or None.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        endpoint: str | None = None,
        session: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.endpoint = endpoint
        self.session = session
        self.retry_after = retry_after


class WahaConfigurationError(WahaError):
    """Somebody has to change a setting: tell a person once, never retry."""


class WahaNotReadyError(WahaError):
    """The session is not WORKING now: put the work back in the queue, do not hammer.

    Attributes:
        session_status: what WAHA says the session is, e.g. `SCAN_QR_CODE`, or `unknown`.
    """

    session_status: str = "unknown"


class WahaTransientError(WahaError):
    """It may work in a moment; the client has already tried as often as it was allowed."""


class WahaProtocolError(WahaError):
    """The answer is not what WAHA answers: HTML, not a list, too large, not found, no progress."""


class WahaGarbledError(WahaProtocolError):
    """The answer is no JSON, or not the JSON that was asked for, and the last try was no better.

    It is tried again like a 502: a proxy's page of maintenance comes with a 200, too.
    """


class WahaUnsupportedError(WahaError):
    """This engine or version cannot be read by this release."""


@dataclass(frozen=True)
class Rule:
    """One line of the policy: an answer of `statuses` whose body holds `marker` is an `error`."""

    statuses: range
    marker: bytes | None
    error: type[WahaError]
    advice: str


def _only(status: int) -> range:
    return range(status, status + 1)


_RECONFIGURE = WahaConfigurationError
_SESSION_MISSING = "The session does not exist on this server: check its name, or create it first."

# First match wins. A 422 comes after WAHA itself has waited 5 to 15 s for the session, which is why
# it is never retried here; "does not exist" is 422 on data endpoints and 404 on /api/sessions.
POLICY: tuple[Rule, ...] = (
    Rule(
        _only(400),
        b"Enable NOWEB store",
        _RECONFIGURE,
        "The NOWEB store is off, so this session keeps no history. Set config.noweb.store.enabled "
        "and config.noweb.store.fullSync to true, then log the session out and pair the phone "
        "again: the store must be on before pairing.",
    ),
    Rule(
        _only(400),
        None,
        _RECONFIGURE,
        "WAHA refuses a parameter of the request: the server is probably older than this client.",
    ),
    Rule(_only(401), None, _RECONFIGURE, "The API key is missing or wrong: check the key's value."),
    Rule(
        _only(403),
        None,
        _RECONFIGURE,
        "The API key is valid but not allowed here: give it `read` on this session.",
    ),
    Rule(_only(404), b"Session not found", _RECONFIGURE, _SESSION_MISSING),
    Rule(
        _only(404),
        None,
        WahaProtocolError,
        "Not found: check that the base URL is WAHA's own address, without a path.",
    ),
    Rule(
        _only(422),
        b'"expected"',
        WahaNotReadyError,
        "The session is not WORKING: wait for it, or start it and scan the code. The work is put "
        "back in the queue.",
    ),
    Rule(_only(422), b"does not exist", _RECONFIGURE, _SESSION_MISSING),
    Rule(
        _only(422),
        None,
        _RECONFIGURE,
        "WAHA will not do this for this session (on Core before 2026.6 only the session `default` "
        "exists): check the session's name and the server's edition.",
    ),
    Rule(_only(408), None, WahaTransientError, "WAHA gave up waiting: try again later."),
    Rule(_only(429), None, WahaTransientError, "Too many requests: slow down and try again later."),
    Rule(
        _only(501),
        None,
        _RECONFIGURE,
        "The engine of this server does not implement the request: choose NOWEB or GOWS.",
    ),
    Rule(
        range(500, 600),
        None,
        WahaTransientError,
        "WAHA or a proxy before it failed: look at its log; the request can be repeated.",
    ),
    Rule(
        range(300, 400),
        None,
        _RECONFIGURE,
        "The server redirects: put the final address, scheme included, into the base URL.",
    ),
    Rule(range(1000), None, WahaProtocolError, "An answer WAHA never gives: check the base URL."),
)


def where(session: str, endpoint: str) -> str:
    """Name a request for a message: session and path template, no ids."""
    return f"WAHA session {session!r}, GET {endpoint}"


def error_for(
    status: int, body: bytes, *, session: str, endpoint: str, retry_after: float | None = None
) -> WahaError:
    """Turn an answer that is not 2xx into the exception to raise.

    Args:
        status: HTTP status.
        body: the answer's bytes; only searched for markers, never quoted.
        session: name of the WAHA session.
        endpoint: path template of the request.
        retry_after: seconds from the answer's `Retry-After`, if any.

    Returns:
        An instance of the class the policy names.
    """
    rule = next(
        r for r in POLICY if status in r.statuses and (r.marker is None or r.marker in body)
    )
    place, advice = where(session, endpoint), rule.advice
    if rule.error is not WahaNotReadyError:
        return rule.error(
            f"{place}: HTTP {status}. {advice}",
            status=status,
            endpoint=endpoint,
            session=session,
            retry_after=retry_after,
        )
    return not_ready(session, endpoint, _session_status(body), status=status)


def not_ready(
    session: str, endpoint: str, session_status: str, *, status: int | None = None
) -> WahaNotReadyError:
    """Build the error of a session that exists but cannot be read now."""
    rule = next(r for r in POLICY if r.error is WahaNotReadyError)
    safe = session_status if re.fullmatch(r"[A-Z_]{1,60}", session_status) else "unknown"
    error = WahaNotReadyError(
        f"{where(session, endpoint)}: session status is {safe}. {rule.advice}",
        status=status,
        endpoint=endpoint,
        session=session,
    )
    error.session_status = safe
    return error


def _session_status(body: bytes) -> str:
    try:
        answer = msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return "unknown"
    status = answer.get("status") if isinstance(answer, dict) else None
    return status if isinstance(status, str) else "unknown"
