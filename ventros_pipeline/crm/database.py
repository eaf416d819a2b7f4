"""Addresses of databases and connections to them.

What belongs here: URLs in every form that users have, engines with our settings, connection errors
in words a person can act on, never with a password in them. What does not: statements.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from psycopg import errors
from sqlalchemy import URL, Engine, create_engine, event, make_url
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.pool import ConnectionPoolEntry

from ventros_pipeline.crm import tenants

# The scheme that psql and libpq take. It stands here alone, and in two pieces: SQLAlchemy 2.1 maps
# the bare scheme to psycopg 3, which once made every Dagster run fail, because dagster-postgres
# builds such URLs and speaks psycopg 2. A test refuses it everywhere else.
_LIBPQ_SCHEME = "postgresql" + "://"
_OURS = {"postgres", "postgresql"}
_CONNECT_TIMEOUT = 10
# A host that loses its power, or its network, says no word; TCP alone would notice after two hours
# and more, and as long the server would keep the locks of whoever was there. Both ends look after
# half a minute of silence, and give up after a minute.
_KEPT_ALIVE = {
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 60_000,
}
# The same of the server's end, as names of its settings.
_LET_GO = {
    "tcp_keepalives_idle": "30",
    "tcp_keepalives_interval": "10",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": "60000",
}

# How a transaction is planned that looks up rows of one channel.
# For whichever channel: of one that it has not counted yet Postgres expects no rows, so it took any
# index that begins with the channel and walked over all of them for each message: 100,000 messages
# of a second channel beside a first of a million took 411 s instead of 32.
# By index: a page of an index is in memory, or on a disk that does not turn. By the default, four
# times as dear as the next page of a table, whole tables of two million were read for each day.
PLANNED_BY_INDEX = (
    "SELECT set_config('plan_cache_mode', 'force_generic_plan', true), "
    "set_config('random_page_cost', '1.1', true)"
)


class DatabaseError(RuntimeError):
    """Something about the database that its operator can put right; the text says what."""


class DatabaseTimeoutError(DatabaseError):
    """A statement or a lock took longer than it may; trying again can help."""


def timed_out(error: BaseException) -> DatabaseTimeoutError | None:
    """Return what to say of an error that is one of the limits of time; None for any other."""
    original = getattr(error, "orig", error)
    if isinstance(original, errors.LockNotAvailable):
        what = "somebody else held a lock for longer than VENTROS_LOCK_TIMEOUT"
    elif isinstance(original, errors.QueryCanceled):
        what = "a statement took longer than VENTROS_STATEMENT_TIMEOUT, or was cancelled"
    else:
        return None
    return DatabaseTimeoutError(f"The database: {what}. Nothing of what it was part of was kept")


def normalise_url(url: str, driver: str = "psycopg") -> URL:
    """Turn any usual form of a Postgres URL into one that names its driver.

    Args:
        url: with scheme `postgres`, `postgresql` or either of them and a driver; over TCP or, with
            `?host=/dir`, over a socket.
        driver: `psycopg` for us, `psycopg2` for Dagster's own storage.

    Raises:
        DatabaseError: it is not a Postgres URL. The text does not repeat it: a password is inside.
    """
    try:
        parsed = make_url(url.strip())
        # An unescaped @ in the password moves its tail into the host, which messages do show.
        readable = "@" not in (parsed.host or "")
    except (ArgumentError, ValueError):
        readable = False
    if not readable:
        raise DatabaseError(
            "The database URL cannot be read: expected postgresql+psycopg://user:password@host:port"
            "/database, with special characters of the password written as %XX"
        )
    if parsed.drivername.partition("+")[0] not in _OURS:
        raise DatabaseError(
            f"The database URL begins with {parsed.drivername}://, and only Postgres will do"
        )
    return parsed.set(drivername=f"postgresql+{driver}")


def kept_alive(url: URL) -> URL:
    """Return a URL whose client notices that the server is gone; what it says already wins."""
    return url.update_query_dict(
        {name: str(value) for name, value in _KEPT_ALIVE.items() if name not in url.query}
    )


def libpq_url(url: str | URL) -> str:
    """Return the URL in the form that psql takes, password included.

    Written by hand: SQLAlchemy writes a space in a query value as `+`, which libpq reads as a plus.
    """
    parsed = normalise_url(url if isinstance(url, str) else url.render_as_string(False))
    # The dialect translates what is SQLAlchemy's own, for example several hosts with their ports.
    dialect = PGDialect_psycopg()  # type: ignore[no-untyped-call]
    given: dict[str, Any] = dialect.create_connect_args(parsed)[1]  # type: ignore[no-untyped-call]
    user, password = given.pop("user", None), given.pop("password", None)
    database = given.pop("dbname", None)
    authority = _quoted(user) if user is not None else ""
    if password is not None:
        authority += f":{_quoted(password)}"
    if authority:
        authority += "@"
    if parsed.host:
        # An IPv6 address needs its brackets back.
        host = given.pop("host")
        authority += f"[{host}]" if ":" in host else _quoted(host)
        if "port" in given:
            authority += f":{given.pop('port')}"
    # What is ours and no option of libpq.
    given.pop("context", None)
    query = "&".join(f"{key}={_quoted(value)}" for key, value in sorted(given.items()))
    path = f"/{_quoted(database)}" if database is not None else ""
    return _LIBPQ_SCHEME + authority + path + (f"?{query}" if query else "")


def described(url: str | URL) -> str:
    """Return `user@host:port/database`, for messages: no password, no options."""
    parsed = normalise_url(url) if isinstance(url, str) else url
    host = parsed.host or parsed.query.get("host") or "the default host"
    if isinstance(host, tuple):
        host = ",".join(host)
    port = f":{parsed.port}" if parsed.port else ""
    user = f"{parsed.username}@" if parsed.username else ""
    return f"{user}{host}{port}/{parsed.database or ''}"


def connect(
    url: str | URL,
    *,
    application_name: str = "ventros",
    statement_timeout: float | None = None,
    lock_timeout: float | None = None,
    pool_size: int = 2,
    max_overflow: int = 3,
) -> Engine:
    """Return an engine that has been reached once.

    The pool is small: a server has 100 connections by default, Dagster takes many of them, and the
    CRM needs the rest.

    Args:
        url: in any form that `normalise_url` takes.
        application_name: what the server's list of activity shows.
        statement_timeout: seconds for one statement; None leaves what the server has.
        lock_timeout: seconds to wait for one lock; None leaves what the server has.
        pool_size: connections kept open.
        max_overflow: further ones while they are needed.

    Raises:
        DatabaseError: the server cannot be reached, or does not let us in.
    """
    parsed = normalise_url(url) if isinstance(url, str) else url
    defaults = {
        "application_name": application_name,
        "connect_timeout": _CONNECT_TIMEOUT,
        **_KEPT_ALIVE,
    }
    engine = create_engine(
        parsed,
        pool_size=pool_size,
        max_overflow=max_overflow,
        pool_pre_ping=True,
        # The one used last has our temporary tables: in turn, two connections made them twice.
        pool_use_lifo=True,
        # What the user wrote into the URL wins.
        connect_args={key: value for key, value in defaults.items() if key not in parsed.query},
    )
    # Compiled, our statements are no faster, and have to wait for the compiler: on Debian's server,
    # which compiles as it comes, 50,000 messages took 13.9 s to load instead of 11.3.
    settings = {"TimeZone": "UTC", "jit": "off", **_LET_GO}
    if statement_timeout is not None:
        settings["statement_timeout"] = f"{statement_timeout * 1000:.0f}"
    if lock_timeout is not None:
        settings["lock_timeout"] = f"{lock_timeout * 1000:.0f}"
    calls = ", ".join(["set_config(%s, %s, false)"] * len(settings))
    values = [part for setting in settings.items() for part in setting]

    # Not through the start-up parameter `options`: PgBouncer refuses connections that send it, and
    # the user's own URL may hold one.
    @event.listens_for(engine, "connect")
    def _prepare(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
        cursor = connection.cursor()
        cursor.execute(f"SELECT {calls}", values)
        cursor.close()
        connection.commit()

    tenants.listen(engine)
    try:
        engine.connect().close()
    except DBAPIError as error:
        engine.dispose()
        raise _explained(error, parsed) from None
    return engine


def _explained(error: DBAPIError, url: URL) -> DatabaseError:
    """Say what to do. The cause is cut off: libpq and SQLAlchemy may quote parameters."""
    where = described(url)
    words = str(error.orig or "").strip()
    if url.password:
        words = words.replace(str(url.password), "***")
    # With several addresses libpq writes one line for each, and hints behind a tab.
    verdicts = [line for line in words.splitlines() if line and not line[0].isspace()]
    reason = verdicts[-1] if verdicts else "no reason given"
    advice = next((advice for sign, advice in _ADVICE if sign in words), "")
    return DatabaseError(f"Cannot connect to {where}: {reason}{advice}")


# A refused connection has no SQLSTATE in libpq, so its words are all there is.
_ADVICE = (
    ("password authentication failed", ". Check user and password in VENTROS_DATABASE_URL"),
    ("no password supplied", ". Put the password into VENTROS_DATABASE_URL"),
    ("does not exist", ". Create it, or correct VENTROS_DATABASE_URL"),
    (
        "no pg_hba.conf entry",
        ". The server's pg_hba.conf has to admit this host, user and database",
    ),
    ("too many clients", ". Raise max_connections, or put a pooler in front of the server"),
    ("Connection refused", ". Is the server running, and are host and port right?"),
    ("No such file or directory", ". Is the server running, and is the socket's folder right?"),
    ("not known", ". The host's name is unknown: is VENTROS_DATABASE_URL right?"),
    ("resolve", ". The host's name is unknown: is VENTROS_DATABASE_URL right?"),
    ("timeout", ". Is the host right, and does a firewall let us through?"),
)


def _quoted(value: object) -> str:
    return quote(str(value), safe="")
