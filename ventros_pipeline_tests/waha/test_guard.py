from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler

import httpcore
import httpx
import pytest

from ventros_pipeline.waha.client import WahaClient, WahaServer
from ventros_pipeline.waha.errors import WahaConfigurationError, WahaTransientError
from ventros_pipeline.waha.guard import (
    FetchError,
    GuardedTransport,
    UnsafeUrlError,
    fetch,
    guarded_client,
    is_public,
    resolve,
    server_transport,
)
from ventros_pipeline.waha.sockets import within

from .stranger import FILE, Loopback, Stranger, listening, trust

PUBLIC = "93.184.216.34"
PUBLIC_V6 = "2606:2800:220:1:248:1893:25c8:1946"
SECRET = "s3cr3t-token"
KEY = {"X-Api-Key": SECRET, "Authorization": SECRET}

# A host, and what a resolver says of it; None asks the system, which knows what `127.1` is.
HOSTILE_HOSTS: list[tuple[str, list[str] | None]] = [
    ("127.0.0.1", None),
    ("127.8.8.8", None),
    ("127.1", None),
    ("127.0.1", None),
    ("2130706433", None),
    ("0x7f000001", None),
    ("0x7f.0.0.1", None),
    ("0x7f.1", None),
    ("017700000001", None),
    ("0177.0.0.1", None),
    ("127.0.0.01", None),
    ("127.0.0.1.", None),
    ("127.000.000.001", None),
    ("1２7.0.0.1", None),
    ("127。0。0。1", None),
    ("①②⑦.0.0.1", None),
    ("127%2e0%2e0%2e1", None),
    ("0", None),
    ("0.0.0.0", None),  # noqa: S104
    ("10.0.0.5", None),
    ("172.16.0.1", None),
    ("172.31.255.255", None),
    ("192.168.1.1", None),
    ("169.254.169.254", None),
    ("100.64.0.1", None),
    ("100.100.100.200", None),
    ("192.0.0.8", None),
    ("192.0.0.192", None),
    ("192.88.99.1", None),
    ("198.18.0.1", None),
    ("224.0.0.1", None),
    ("239.255.255.250", None),
    ("255.255.255.255", None),
    ("240.0.0.1", None),
    ("[::1]", None),
    ("[::]", None),
    ("[0:0:0:0:0:0:0:1]", None),
    ("[::ffff:127.0.0.1]", None),
    ("[::ffff:7f00:1]", None),
    ("[::ffff:0:127.0.0.1]", None),
    ("[::127.0.0.1]", None),
    ("[64:ff9b::7f00:1]", None),
    ("[64:ff9b::10.0.0.1]", None),
    ("[64:ff9b:1::5db8:d822]", None),
    ("[2002:7f00:1::]", None),
    ("[2001:0:53aa:64c:0:fffe:80ff:fffe]", None),
    ("[2001:db8::1]", None),
    ("[fc00::1]", None),
    ("[fd00:ec2::254]", None),
    ("[fe80::1]", None),
    ("[fe80::1%25lo]", None),
    ("[::1%25lo]", None),
    ("[fec0::1]", None),
    ("[ff02::1]", None),
    ("[2606:2800::5efe:127.0.0.1]", None),
    ("localhost", None),
    ("LOCALHOST", [PUBLIC]),
    ("localhost.", None),
    ("waha", [PUBLIC]),
    ("intranet", [PUBLIC]),
    ("db.internal", [PUBLIC]),
    ("metadata.google.internal", ["169.254.169.254"]),
    ("printer.local", [PUBLIC]),
    ("1.0.0.127.in-addr.arpa", [PUBLIC]),
    ("ⓛⓞⓒⓐⓛⓗⓞⓢⓣ", None),
    ("evil.example.com", ["127.0.0.1"]),
    ("evil.example.com", ["10.0.0.1"]),
    ("evil.example.com", ["169.254.169.254"]),
    ("evil.example.com", [PUBLIC, "127.0.0.1"]),
    ("evil.example.com", [PUBLIC, "::1"]),
    ("evil.example.com", ["::ffff:10.0.0.1"]),
    ("evil.example.com", ["64:ff9b::a00:1"]),
    ("evil.example.com", ["64:ff9b:1::808:808"]),
    ("evil.example.com", ["2002:a00:1::1"]),
    ("evil.example.com", ["fe80::1%eth0"]),
    ("evil.example.com", ["not an address"]),
    ("evil.example.com.", [PUBLIC]),
    ("-evil.example.com", [PUBLIC]),
    ("evil..example.com", [PUBLIC]),
    ("evil.example.com%00.example.com", [PUBLIC]),
    ("waha.test@evil.example.com", [PUBLIC]),
    ("user:word@evil.example.com", [PUBLIC]),
    ("evil.example.com\\@waha.test", [PUBLIC]),
    ("evil.example.com\\.waha.test", [PUBLIC]),
    ("evil.example .com", [PUBLIC]),
    ("evil.example.com\r\nX-Api-Key: x", [PUBLIC]),
    ("[::1", None),
    ("", None),
]
HOSTILE_URLS = [
    "http://evil.example.com/",
    "http://{own_host}:{other_port}/",
    "https://{own_host}:{own_port}/",
    "http://localhost:{own_port}/",
    "http://[::ffff:127.0.0.1]:{own_port}/",
    "http://{own_host}:{own_port}@evil.example.com/",
    "http://user@{own_host}:{own_port}/",
    "https://evil.example.com:22/",
    "https://evil.example.com:80/",
    "https://evil.example.com:6379/",
    "https://evil.example.com:99999/",
    "ftp://evil.example.com/",
    "file:///etc/passwd",
    "gopher://127.0.0.1:6379/_INFO",
    "dict://127.0.0.1:11211/stat",
    "data:text/plain,hello",
    "javascript:alert(1)",
    "unix:///run/docker.sock",
    "//evil.example.com/",
    "/api/files/x",
    "evil.example.com/x",
    "https:evil.example.com",
    "https:///x",
    " https://evil.example.com/",
    "https://evil.example.com/\x00",
    "",
]


@pytest.fixture
def own() -> Iterator[Stranger]:
    with listening(tls=False) as server:
        yield server


@pytest.fixture
def foreign() -> Iterator[Stranger]:
    with listening(tls=True) as server:
        yield server


class Names:
    """A resolver with a book; every other name is unknown."""

    def __init__(self, **answers: list[str]) -> None:
        self.answers = {name.replace("_dot_", "."): found for name, found in answers.items()}
        self.default: list[str] | None = [PUBLIC]
        self.asked: list[str] = []

    def __call__(self, host: str, port: int) -> list[str]:
        self.asked.append(host)
        found = self.answers.get(host, self.default)
        return resolve(host, port) if found is None else found


def client_of(
    own: Stranger | None, foreign: Stranger, names: Names | None = None, **options: object
) -> tuple[httpx.Client, Loopback]:
    backend = Loopback(foreign.port)
    transport = GuardedTransport(
        [f"http://127.0.0.1:{own.port}/waha"] if own else [],
        resolver=names or Names(),
        backend=backend,
        ssl_context=trust(),
        **options,  # type: ignore[arg-type]
    )
    return guarded_client([], transport=transport, timeout=20), backend


def get(client: httpx.Client, url: str, **options: object) -> bytes:
    settings = {"max_bytes": 10_000, "seconds": 20, **options}
    return fetch(client, url, **settings).content  # type: ignore[arg-type]


@pytest.mark.parametrize(("host", "answers"), HOSTILE_HOSTS)
def test_a_hostile_host_is_refused_before_a_socket_is_opened(
    host: str, answers: list[str] | None, foreign: Stranger
) -> None:
    names = Names()
    names.default = answers
    # The server really listens there, on a port that is allowed: only the guard is in the way.
    client, backend = client_of(None, foreign, names, foreign_ports=(443, foreign.port))
    for port in ("", f":{foreign.port}"):
        with pytest.raises(UnsafeUrlError) as refused:
            get(client, f"https://{host}{port}/{SECRET}?sig={SECRET}", headers=KEY)
        assert SECRET not in str(refused.value)
        assert "word" not in str(refused.value)
    assert (backend.dialled, foreign.connections) == ([], 0)


@pytest.mark.parametrize("url", HOSTILE_URLS)
def test_a_hostile_url_is_refused_before_a_socket_is_opened(
    url: str, own: Stranger, foreign: Stranger
) -> None:
    client, backend = client_of(own, foreign)
    values = {"own_host": "127.0.0.1", "own_port": own.port, "other_port": foreign.port}
    with pytest.raises(UnsafeUrlError, match="not fetched"):
        get(client, url.format(**values))
    assert (backend.dialled, own.connections, foreign.connections) == ([], 0, 0)


def test_the_tables_of_hostile_forms_are_long_enough() -> None:
    assert len(HOSTILE_HOSTS) + len(HOSTILE_URLS) >= 60


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("https://media.example.com/a.jpg", PUBLIC),
        ("https://MEDIA.Example.COM:443/a.jpg", PUBLIC),
        (
            "https://mmg.whatsapp.net/v/t62.7118-24/1_2_n.enc?ccb=11-4&oh=01_Q5&oe=6&_nc_sid=5",
            PUBLIC,
        ),
        ("https://bucket.s3.amazonaws.com/a%20b.jpg?X-Amz-Signature=00ff", PUBLIC),
        ("https://my-bucket.s3.sa-east-1.amazonaws.com/a.jpg", PUBLIC),
        ("https://mídia.exemplo.com.br/a.jpg", PUBLIC),
        ("https://v6.example.com/a.jpg", PUBLIC_V6),
        ("https://nat64.example.com/a.jpg", "64:ff9b::5db8:d822"),
        (f"https://{PUBLIC}/a.jpg", PUBLIC),
        (f"https://[{PUBLIC_V6}]/a.jpg", PUBLIC_V6),
    ],
)
def test_an_honest_url_passes_and_goes_to_the_address_that_was_judged(
    url: str, address: str, own: Stranger, foreign: Stranger
) -> None:
    names = Names()
    names.default = [address]
    client, backend = client_of(own, foreign, names)
    found = fetch(client, url, max_bytes=10_000, seconds=20)
    assert (found.content, found.content_type) == (FILE, "image/jpeg")
    assert backend.dialled == [(address, 443)]


def test_wahas_own_files_are_fetched_from_a_private_address_with_the_key(
    own: Stranger, foreign: Stranger
) -> None:
    client, _ = client_of(own, foreign)
    assert get(client, f"http://127.0.0.1:{own.port}/api/files/a.jpg", headers=KEY) == FILE
    assert own.seen[0][1]["x-api-key"] == SECRET


def test_a_name_that_changes_its_address_after_the_check_is_reached_where_it_was_checked(
    foreign: Stranger,
) -> None:
    names = Names()
    answers = itertools.chain([[PUBLIC]], itertools.repeat(["127.0.0.1"]))
    names.answers = {}

    def rebinding(host: str, port: int) -> list[str]:
        names.asked.append(host)
        return next(answers)

    backend = Loopback(foreign.port)
    transport = GuardedTransport([], resolver=rebinding, backend=backend, ssl_context=trust())
    client = guarded_client([], transport=transport)
    assert get(client, "https://rebind.example.com/a.jpg") == FILE
    assert names.asked == ["rebind.example.com"]
    assert backend.dialled == [(PUBLIC, 443)]
    client.close()
    with pytest.raises(UnsafeUrlError):
        get(
            guarded_client(
                [],
                transport=GuardedTransport([], resolver=rebinding, backend=backend),
            ),
            "https://rebind.example.com/a.jpg",
        )


def test_the_certificate_must_be_the_names_and_not_the_addresses(foreign: Stranger) -> None:
    client, _ = client_of(None, foreign)
    with pytest.raises(FetchError, match="ConnectError"):
        get(client, "https://other.example.org/a.jpg")
    assert foreign.seen == []


def test_the_next_address_is_tried_when_one_does_not_answer(foreign: Stranger) -> None:
    class Half(Loopback):
        def connect_tcp(self, host: str, port: int, *args: object, **kwargs: object) -> object:  # type: ignore[override]
            if host == PUBLIC_V6:
                raise httpcore.ConnectError("no route")
            return super().connect_tcp(host, port, *args, **kwargs)

    names = Names()
    names.default = [PUBLIC_V6, PUBLIC]
    backend = Half(foreign.port)
    transport = GuardedTransport([], resolver=names, backend=backend, ssl_context=trust())
    assert get(guarded_client([], transport=transport), "https://a.example.com/") == FILE


def test_an_unknown_name_is_no_attack(foreign: Stranger) -> None:
    def unknown(_: str, __: int) -> list[str]:
        raise OSError

    transport = GuardedTransport([], resolver=unknown, backend=Loopback(foreign.port))
    with pytest.raises(FetchError, match=r"a\.example\.com"):
        get(guarded_client([], transport=transport), f"https://a.example.com/?{SECRET}")


def test_a_redirect_to_a_stranger_is_followed_without_the_key(
    own: Stranger, foreign: Stranger
) -> None:
    own.redirect("/api/files/a.jpg", "https://bucket.s3.amazonaws.com/a.jpg?X-Amz-Signature=1")
    client, _ = client_of(own, foreign)
    assert get(client, f"http://127.0.0.1:{own.port}/api/files/a.jpg", headers=KEY) == FILE
    path, headers = foreign.seen[0]
    assert path == "/a.jpg?X-Amz-Signature=1"
    assert SECRET not in str(headers)
    assert headers["host"] == "bucket.s3.amazonaws.com"


@pytest.mark.parametrize(
    "target",
    [
        "https://127.0.0.1/",
        "https://169.254.169.254/latest/meta-data/",
        "https://[::ffff:10.0.0.1]/",
        "https://private.example.com/",
        "http://media.example.com/",
        "http://127.0.0.1:{foreign_port}/",
        "https://2130706433/",
        "https://user:word@media.example.com/",
        "file:///etc/passwd",
        "gopher://127.0.0.1/",
    ],
)
def test_a_redirect_is_judged_like_a_first_url(
    target: str, own: Stranger, foreign: Stranger
) -> None:
    foreign.redirect("/start", target.format(foreign_port=foreign.port))
    names = Names(private_dot_example_dot_com=["10.0.0.1"])
    client, backend = client_of(own, foreign, names)
    with pytest.raises((UnsafeUrlError, FetchError)) as refused:
        get(client, "https://media.example.com/start")
    assert "word" not in str(refused.value)
    assert backend.dialled == [(PUBLIC, 443)]
    assert len(foreign.seen) == 1


def test_a_strangers_redirect_to_waha_does_not_bring_the_key_along(
    own: Stranger, foreign: Stranger
) -> None:
    foreign.redirect("/start", f"http://127.0.0.1:{own.port}/api/sessions")
    client, _ = client_of(own, foreign)
    get(client, "https://media.example.com/start", headers=KEY)
    assert SECRET not in str(foreign.seen + own.seen)


@pytest.mark.parametrize(("hops", "arrives"), [(3, True), (4, False)])
def test_three_redirects_are_followed_and_a_fourth_is_not(
    hops: int, arrives: bool, foreign: Stranger
) -> None:
    for hop in range(hops):
        foreign.redirect(f"/{hop}", f"/{hop + 1}")
    client, _ = client_of(None, foreign)
    if arrives:
        assert get(client, "https://media.example.com/0") == FILE
        return
    with pytest.raises(FetchError, match="redirects"):
        get(client, "https://media.example.com/0")


def test_keys_that_somebody_put_into_a_request_do_not_leave_for_strangers(
    foreign: Stranger,
) -> None:
    client, _ = client_of(None, foreign)
    client.get("https://media.example.com/", headers={**KEY, "Cookie": SECRET}).read()
    assert SECRET not in str(foreign.seen)


def endless(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.end_headers()
    while True:
        handler.wfile.write(b"x" * 4096)


def announced(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", "10001")
    handler.end_headers()
    time.sleep(30)


def compressed(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Encoding", "gzip")
    handler.end_headers()


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [(endless, "larger than"), (announced, "larger than"), (compressed, "compressed")],
)
def test_a_file_that_is_too_large_is_left_where_it_is(
    answer: object, sentence: str, foreign: Stranger
) -> None:
    foreign.answers["/big"] = answer  # type: ignore[assignment]
    client, _ = client_of(None, foreign)
    with pytest.raises(FetchError, match=sentence):
        get(client, "https://media.example.com/big")


def trickle(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.end_headers()
    while True:
        handler.wfile.write(b"x")
        time.sleep(0.02)


def test_a_file_that_trickles_is_given_up(foreign: Stranger) -> None:
    foreign.answers["/slow"] = trickle
    client, _ = client_of(None, foreign)
    with pytest.raises(FetchError, match="Timeout"):
        get(client, "https://media.example.com/slow", seconds=0.5)


@pytest.mark.parametrize("status", [403, 404, 410, 500])
def test_a_refusal_tells_its_status(status: int, foreign: Stranger) -> None:
    foreign.answers["/x"] = lambda handler: handler.send_error(status)
    client, _ = client_of(None, foreign)
    with pytest.raises(FetchError, match=str(status)) as failure:
        get(client, f"https://media.example.com/x?{SECRET}")
    assert failure.value.status == status
    assert SECRET not in str(failure.value)


def test_a_deadline_that_has_passed_opens_no_socket(foreign: Stranger) -> None:
    client, backend = client_of(None, foreign)
    with within(0), pytest.raises(httpx.ConnectTimeout):
        client.get("https://media.example.com/")
    assert backend.dialled == []


@pytest.mark.parametrize("address", [PUBLIC, PUBLIC_V6, "8.8.8.8", "64:ff9b::808:808"])
def test_public_addresses_are_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize("address", ["", "8.8.8.8%eth0", "8.8.8", "localhost", "::ffff:8.8.8.8%1"])
def test_what_is_no_plain_address_is_not_public(address: str) -> None:
    assert not is_public(address)


# -- the address of a channel, which whoever edits it in the CRM has chosen ------------------------


class Unreachable(httpcore.NetworkBackend):
    """Notes what would have been connected to."""

    def __init__(self) -> None:
        self.tried: list[str] = []

    def connect_tcp(self, host: str, *_: object, **__: object) -> httpcore.NetworkStream:
        self.tried.append(host)
        raise httpcore.ConnectError("nobody is there")


@pytest.mark.parametrize(
    ("host", "answers"),
    [
        ("169.254.169.254", []),
        ("[::ffff:169.254.169.254]", []),
        ("[64:ff9b::a9fe:a9fe]", []),
        ("[fe80::1]", []),
        ("[fd00:ec2::254]", []),
        ("100.100.100.200", []),
        ("168.63.129.16", []),
        ("waha.example.com", ["169.254.170.2"]),
        ("waha.example.com", ["10.0.0.5", "169.254.169.254"]),
    ],
)
def test_a_channel_that_points_to_a_clouds_own_service_is_refused_before_a_socket_is_opened(
    host: str, answers: list[str]
) -> None:
    nobody = Unreachable()
    transport = server_transport(lambda *_: answers, nobody)
    with (
        WahaClient(WahaServer(f"http://{host}", "default", SECRET), transport=transport) as client,
        pytest.raises(WahaConfigurationError, match="nothing was sent") as refused,
    ):
        client.probe()
    assert nobody.tried == []
    assert SECRET not in str(refused.value)


def test_a_waha_in_the_companys_own_network_is_reached_by_the_address_that_was_judged() -> None:
    nobody = Unreachable()
    transport = server_transport(lambda *_: ["10.0.0.5"], nobody)
    server = WahaServer("http://waha:3000", "default", SECRET, attempts=1)
    with (
        WahaClient(server, transport=transport) as client,
        pytest.raises(WahaTransientError),
    ):
        client.probe()
    assert nobody.tried == ["10.0.0.5"]


@pytest.mark.parametrize(
    ("url", "is_allowed"),
    [
        ("http://waha:3000", True),
        ("https://WAHA.example.com/path", True),
        ("https://waha.example.com:8443", True),
        ("http://waha:5432", False),
        ("http://waha", False),
        ("http://postgres:5432", False),
        ("http://waha:3000@evil.example.com", False),
        ("https://waha.example.com.evil.example.com", False),
    ],
)
def test_channels_name_no_other_servers_than_those_that_are_listed(
    url: str, is_allowed: bool
) -> None:
    server = WahaServer(url, "default", hosts=frozenset({"waha:3000", "waha.example.com"}))
    if is_allowed:
        WahaClient(server).close()
        return
    with pytest.raises(WahaConfigurationError, match="VENTROS_WAHA_HOSTS"):
        WahaClient(server)
