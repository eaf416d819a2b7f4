"""Fetching what a stranger named: one guard for every URL from a message, a channel or WAHA.

What belongs here: which addresses may be reached, WAHA's own too, and clients that reach no others.
What does not: WAHA's own endpoints (`client.py`), and what is done with a file.

Whoever writes to the company chooses what a message says, a server in the company's network is
asked to fetch it, and clouds hand out credentials at 169.254.169.254. "No private addresses" alone
would be wrong here, because WAHA itself mostly has one: so the configured origins are allowed
exactly, by scheme, host and port, and everything else has to be public, over https.

The check stands where the connection is made: the name is resolved once, each address is judged,
and the socket is opened to one that was judged. A name that resolves differently a moment later
(rebinding) changes nothing, and TLS and `Host` still speak of the name. Each redirect is a new
request that passes through here again.

Ready-made helpers were read and left: `ipaddress.is_global` and `safehttpx` accept addresses that
carry a loopback IPv4 inside of an IPv6 (NAT64, 6to4), `httpx-secure` is asynchronous only and has
no list of origins.
"""

from __future__ import annotations

import ipaddress
import re
import socket
import ssl
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import httpcore
import httpx

from ventros_pipeline.waha.courtesy import DEFAULT_PORTS
from ventros_pipeline.waha.errors import WahaConfigurationError, WahaError
from ventros_pipeline.waha.sockets import DeadlineTransport, time_left, within

MAX_REDIRECTS = 3
# WAHA closes idle connections after 5 s. A connection dropped a second earlier on our side is never
# the one it is just closing (a benchmark died on exactly that reset).
_KEEPALIVE = 4.0

Resolver = Callable[[str, int], list[str]]


class UnsafeUrlError(WahaError):
    """The URL must not be fetched, now or later."""


class FetchError(WahaError):
    """The URL may be fetched, and that did not work; `status` is the answer's, if there was one."""


class TooLargeError(FetchError):
    """The file has more bytes than it may have."""


class Origin(NamedTuple):
    """Scheme, host and port: what a configured server is recognised by."""

    scheme: str
    host: str
    port: int


@dataclass(frozen=True)
class Fetched:
    """A file that was fetched whole.

    Attributes:
        content: its bytes.
        content_type: as the server says, lower case, without parameters; empty if it does not.
    """

    content: bytes = field(repr=False)
    content_type: str


# IANA's registries of special-purpose addresses, written out: what `ipaddress` calls global has
# changed between patch releases of Python.
_SPECIAL_V4 = tuple(
    ipaddress.IPv4Network(network)
    for network in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.31.196.0/24",
        "192.52.193.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "192.175.48.0/24",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
    )
)
_GLOBAL_V6 = ipaddress.IPv6Network("2000::/3")
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_SPECIAL_V6 = tuple(
    ipaddress.IPv6Network(network)
    for network in ("2001::/23", "2001:db8::/32", "2002::/16", "2620:4f:8000::/48", "3fff::/20")
)
# Where clouds hand out credentials and configuration, beside the link-local addresses: AWS over
# IPv6, Alibaba, Azure, Oracle.
_CLOUDS = frozenset(
    ipaddress.ip_address(address)
    for address in ("fd00:ec2::254", "100.100.100.200", "168.63.129.16", "192.0.0.192")
)
# The interface part of ISATAP, `::0:5efe:a.b.c.d` or `::200:5efe:a.b.c.d`: a tunnel to a.b.c.d.
_ISATAP = (0x00005EFE, 0x02005EFE)
_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")
# Names that no public resolver knows, and a private one answers with what is near.
_PRIVATE_NAMES = ("localhost", "local", "internal", "intranet", "lan", "home", "corp", "arpa")
_SECRETS = ("authorization", "cookie", "proxy-authorization", "x-api-key")


def is_public(address: str) -> bool:
    """Say whether an address, as text, is one of the public Internet; False for anything odd."""
    if "%" in address:  # a zone: the address means something on this machine alone
        return False
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(parsed, ipaddress.IPv4Address):
        return _is_public_v4(parsed)
    inner = parsed.ipv4_mapped
    if inner is None and parsed in _NAT64:
        inner = ipaddress.IPv4Address(int(parsed) & 0xFFFFFFFF)
    if inner is not None:
        return _is_public_v4(inner)
    return (
        parsed in _GLOBAL_V6
        and not any(parsed in network for network in _SPECIAL_V6)
        and (int(parsed) >> 32) & 0xFFFFFFFF not in _ISATAP
    )


def _is_public_v4(address: ipaddress.IPv4Address) -> bool:
    return address.is_global and not any(address in network for network in _SPECIAL_V4)


def origin_of(url: str | httpx.URL) -> Origin:
    """Return the origin of a URL, its host in the form in which it is looked up.

    Raises:
        UnsafeUrlError: it cannot be read in one way only.
    """
    parsed = url if isinstance(url, httpx.URL) else _parsed(url)
    scheme = parsed.scheme
    if scheme not in DEFAULT_PORTS:
        raise _unsafe("its scheme is neither http nor https")
    if parsed.userinfo:
        raise _unsafe("it carries a user name, behind which the real host hides")
    host = parsed.raw_host.decode("ascii", "replace").lower()
    if not host:
        raise _unsafe("it names no host")
    return Origin(scheme, host, parsed.port or DEFAULT_PORTS[scheme])


def _parsed(url: str) -> httpx.URL:
    # Other parsers read these characters otherwise; a URL that two programs read differently is
    # how guards are passed.
    if not url or len(url) > 8192 or re.search(r"[\s\\\x00-\x20\x7f]", url):
        raise _unsafe("it is empty, too long, or holds spaces, control characters or backslashes")
    try:
        return httpx.URL(url)
    except (httpx.InvalidURL, ValueError, UnicodeError):
        raise _unsafe("it is no valid URL") from None


def _check_foreign(origin: Origin, ports: Collection[int]) -> None:
    """Judge what can be judged without asking a resolver."""
    scheme, host, port = origin
    if scheme != "https":
        raise _unsafe("only https is fetched from other servers than the configured WAHA", origin)
    if port not in ports:
        raise _unsafe(f"port {port} is not one that files are fetched from", origin)
    try:
        literal = str(ipaddress.ip_address(host))
    except ValueError:
        _check_name(host, origin)
        return
    if literal != host or not is_public(literal):
        raise _unsafe("its address is not a public one", origin)


def _check_name(host: str, origin: Origin) -> None:
    labels = host.split(".")
    if len(labels) < 2 or len(host) > 253 or not all(_LABEL.fullmatch(each) for each in labels):
        raise _unsafe("its host is no full, public name", origin)
    # `2130706433`, `0x7f.1` and `127.1` are addresses to a resolver, not names.
    if re.fullmatch(r"\d+|0x[0-9a-f]*", labels[-1]):
        raise _unsafe("its host is an address in disguise", origin)
    if labels[-1] in _PRIVATE_NAMES:
        raise _unsafe("its host is a name of private networks", origin)


def _unsafe(why: str, origin: Origin | None = None) -> UnsafeUrlError:
    # A path or a query may hold a signature, a token or a number; an odd host may hold anything.
    name = ""
    if origin is not None and re.fullmatch(r"[a-z0-9._:-]{1,100}", origin.host):
        name = f" at {origin.host}"
    return UnsafeUrlError(
        f"A URL{name} is not fetched: {why}. If it is WAHA's own, put its scheme, host and port "
        "into the channel's base URL; otherwise nothing needs to be done."
    )


def resolve(host: str, port: int) -> list[str]:
    """Ask the system's resolver for all addresses of a name.

    Raises:
        OSError: the name is not known, or nobody answers.
    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[4][0]) for address in found))


class _JudgingBackend(httpcore.NetworkBackend):
    """Connects to names by the very addresses that it has judged.

    Args:
        inner: what opens sockets.
        resolver: all addresses of a name.
        judge: says whether an address may be reached.
        refusal: makes the error of an address that may not.
    """

    def __init__(
        self,
        inner: httpcore.NetworkBackend,
        resolver: Resolver,
        judge: Callable[[str], bool],
        refusal: Callable[[], WahaError],
    ) -> None:
        self._inner = inner
        self._resolver = resolver
        self._judge = judge
        self._refusal = refusal

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        failure: Exception = httpcore.ConnectError("no address")
        for address in self._addresses(host, port):
            left = time_left(timeout, httpcore.ConnectTimeout)
            try:
                return self._inner.connect_tcp(address, port, left, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise failure

    def _addresses(self, host: str, port: int) -> list[str]:
        try:
            addresses = [host] if _is_literal(host) else self._resolver(host, port)
        except (OSError, UnicodeError):
            raise httpcore.ConnectError("the name is not known") from None
        # One address of another kind among the right ones is no accident.
        if not all(self._judge(address) for address in addresses):
            raise self._refusal()
        return addresses


def server_transport(
    resolver: Resolver | None = None,
    backend: httpcore.NetworkBackend | None = None,
    ssl_context: ssl.SSLContext | None = None,
) -> DeadlineTransport:
    """Return a transport to a configured WAHA server: near or far, but no cloud's own service.

    Whoever may edit a channel in the CRM chooses the address, and with it where this process knocks
    (`VENTROS_WAHA_HOSTS` narrows that to named servers; see `check_host`).

    Raises:
        WahaConfigurationError: from a request, before anything is sent.
    """
    judging = _JudgingBackend(
        backend or httpcore.SyncBackend(), resolver or resolve, may_be_waha, _no_server
    )
    return DeadlineTransport(keepalive=_KEEPALIVE, backend=judging, ssl_context=ssl_context)


def may_be_waha(address: str) -> bool:
    """Say whether a WAHA server may have an address: any but those that clouds answer at."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(parsed, ipaddress.IPv6Address):
        inner = parsed.ipv4_mapped
        if inner is None and parsed in _NAT64:
            inner = ipaddress.IPv4Address(int(parsed) & 0xFFFFFFFF)
        parsed = inner or parsed
    return not (parsed.is_link_local or parsed.is_multicast or parsed in _CLOUDS)


def check_host(base_url: str, hosts: Collection[str]) -> None:
    """Refuse a server that is not among the hosts that channels may name; none named means any.

    Args:
        base_url: of a channel.
        hosts: each with or without a port, lower case.

    Raises:
        WahaConfigurationError: it is another.
    """
    if not hosts:
        return
    try:
        _, host, port = origin_of(base_url)
    except UnsafeUrlError:
        host, port = "", 0
    name = f"[{host}]" if ":" in host else host
    if name not in hosts and f"{name}:{port}" not in hosts:
        raise WahaConfigurationError(
            "The channel's address is not among the servers that VENTROS_WAHA_HOSTS names, and "
            "nothing was sent to it. Correct the channel's base URL, or add the host."
        )


def _no_server() -> WahaError:
    return WahaConfigurationError(
        "A configured address leads to a link-local address or a cloud's own service; nothing was "
        "sent to it. Put the server's own address into the channel's base URL, or into "
        "VENTROS_ALERT_URL."
    )


def _not_public() -> WahaError:
    return _unsafe("its name stands for an address that is not public")


def _is_literal(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


class GuardedTransport(httpx.BaseTransport):
    """An httpx transport that reaches the configured origins and the public Internet, no more.

    Keys and cookies go to configured origins only, whoever put them into a request.

    Args:
        allowed_origins: base URLs of the configured WAHA servers; compared by scheme, host, port.
        foreign_ports: ports of other servers that files may come from.
        resolver: all addresses of a name; the system's by default.
        backend: what opens sockets, to addresses that were judged; the network by default.
        ssl_context: None verifies against the usual authorities.

    Raises:
        UnsafeUrlError: from a request, before anything is sent.
    """

    def __init__(
        self,
        allowed_origins: Iterable[str],
        *,
        foreign_ports: Collection[int] = (443,),
        resolver: Resolver = resolve,
        backend: httpcore.NetworkBackend | None = None,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        self._allowed = frozenset(origin_of(url) for url in allowed_origins)
        self._ports = frozenset(foreign_ports)
        inner = backend or httpcore.SyncBackend()
        # Two pools: a connection to a configured server is never used for a stranger's URL, even if
        # both name the same host.
        self._own = server_transport(resolver, inner, ssl_context)
        self._foreign = DeadlineTransport(
            keepalive=_KEEPALIVE,
            backend=_JudgingBackend(inner, resolver, is_public, _not_public),
            ssl_context=ssl_context,
        )

    def allows(self, url: str | httpx.URL) -> bool:
        """Say whether a URL belongs to a configured server."""
        return origin_of(url) in self._allowed

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send one request, or refuse it."""
        origin = origin_of(request.url)
        if origin in self._allowed:
            return self._own.handle_request(request)
        _check_foreign(origin, self._ports)
        for name in _SECRETS:
            request.headers.pop(name, None)
        return self._foreign.handle_request(request)

    def close(self) -> None:
        """Close all connections."""
        self._own.close()
        self._foreign.close()


def guarded_client(
    allowed_origins: Iterable[str],
    *,
    timeout: float = 30.0,
    connect_timeout: float = 10.0,
    transport: GuardedTransport | None = None,
) -> httpx.Client:
    """Return a client for URLs that strangers wrote; use it with `fetch`.

    It does not follow redirects by itself (`fetch` does, and takes keys off the way), reads no
    proxy settings, and keeps no cookies for strangers.

    Args:
        allowed_origins: base URLs of the configured WAHA servers.
        timeout: seconds without a byte.
        connect_timeout: seconds for one connection.
        transport: instead of one made here.
    """
    return httpx.Client(
        transport=transport or GuardedTransport(allowed_origins),
        timeout=httpx.Timeout(timeout, connect=connect_timeout),
        headers={"Accept-Encoding": "identity"},
        follow_redirects=False,
        trust_env=False,
    )


def fetch(
    client: httpx.Client,
    url: str,
    *,
    max_bytes: int,
    seconds: float,
    headers: Mapping[str, str] | None = None,
) -> Fetched:
    """Fetch a file whole, within a size, a time and `MAX_REDIRECTS` redirects.

    Args:
        client: of `guarded_client`.
        url: where the file is.
        max_bytes: largest file.
        seconds: for everything, redirects included.
        headers: for example WAHA's key. They go to the origin of `url` and to no other.

    Raises:
        UnsafeUrlError: the URL, or one that it leads to, must not be fetched.
        FetchError: it could not be fetched, is too large, or took too long.
    """
    origin = origin_of(url)
    with within(seconds), _told(origin):
        request = client.build_request("GET", _parsed(url), headers=headers)
        for _ in range(MAX_REDIRECTS + 1):
            response = client.send(request, stream=True)
            try:
                if response.next_request is None:
                    return _read(response, origin, max_bytes)
                request = _next(client, response.next_request, origin, headers)
            finally:
                response.close()
    raise FetchError(f"A file at {origin.host} is behind more than {MAX_REDIRECTS} redirects.")


def _next(
    client: httpx.Client, proposed: httpx.Request, origin: Origin, headers: Mapping[str, str] | None
) -> httpx.Request:
    """Build the request of a redirect from its address alone."""
    same = origin_of(proposed.url) == origin
    return client.build_request("GET", proposed.url, headers=headers if same else None)


def _read(response: httpx.Response, origin: Origin, max_bytes: int) -> Fetched:
    if not response.is_success:
        raise FetchError(
            f"A file at {origin.host} was not given: HTTP {response.status_code}.",
            status=response.status_code,
        )
    if response.headers.get("Content-Encoding", "identity").lower() != "identity":
        # A few kilobytes of gzip can be gigabytes of zeros.
        raise FetchError(f"A file at {origin.host} is compressed, although none was asked for.")
    body = bytearray()
    length = response.headers.get("Content-Length", "")
    too_large = length.isdigit() and int(length[:20]) > max_bytes
    chunks = iter(()) if too_large else response.iter_raw()
    for chunk in chunks:
        body += chunk
        if too_large := len(body) > max_bytes:
            break
    if too_large:
        raise TooLargeError(f"A file at {origin.host} is larger than {max_bytes:,} bytes.")
    content_type = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    return Fetched(bytes(body), content_type)


@contextmanager
def _told(origin: Origin) -> Iterator[None]:
    """Turn httpx's errors, whose text may quote the URL, into ours."""
    try:
        yield
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise FetchError(
            f"A file at {origin.host} could not be fetched ({type(error).__name__})."
        ) from None
