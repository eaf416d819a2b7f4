"""Hosts as network namespaces behind one bridge; needs root and iproute2.

This process moves into a namespace of its own, too, the middle, where everything is that hosts
share: so no firewall of the machine stands between them, and nothing of it is reached.

What belongs here: addresses, links, and processes that see only their host's network. What does
not: what runs on them. Hosts share the machine's disk and clock.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

# A network for documentation (RFC 5737), so that nothing that exists is reached by mistake.
NETWORK = "192.0.2"
MIDDLE = f"{NETWORK}.1"
_BRIDGE = "vtbridge"
_CLONE_NEWNET = 0x40000000


def ip(*arguments: str) -> None:
    """Run `ip`; what it says on failure is the error.

    Raises:
        RuntimeError: it failed.
    """
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"ip {' '.join(arguments)}: {done.stderr.strip()}")


@dataclass
class Host:
    """A namespace with one link to the bridge, and the processes that were started in it."""

    number: int
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def name(self) -> str:
        """Its name, and that of its namespace."""
        return f"vthost{self.number}"

    @property
    def link(self) -> str:
        """The bridge's end of its link."""
        return f"vtlink{self.number}"

    def make(self) -> None:
        """Make the namespace and plug it in."""
        ip("netns", "add", self.name)
        ip("link", "add", self.link, "type", "veth", "peer", "name", "eth0", "netns", self.name)
        ip("link", "set", self.link, "master", _BRIDGE, "up")
        address = f"{NETWORK}.{10 + self.number}/24"
        ip("-n", self.name, "addr", "add", address, "dev", "eth0")
        for device in ("lo", "eth0"):
            ip("-n", self.name, "link", "set", device, "up")

    def unmake(self) -> None:
        """Kill what runs, and take the namespace away."""
        self.kill()
        with suppress(RuntimeError):
            ip("netns", "del", self.name)

    def start(
        self, command: Sequence[str], environment: Mapping[str, str], log: Path
    ) -> subprocess.Popen[bytes]:
        """Start a program that sees this host's network alone."""
        with log.open("ab") as out:
            started = subprocess.Popen(
                ["ip", "netns", "exec", self.name, *command],
                env=os.environ | environment,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )
        self.processes.append(started)
        return started

    def kill(self) -> None:
        """Kill every process of the host at once, as a kernel panic would."""
        for process in self.processes:
            if process.poll() is None:
                family = psutil.Process(process.pid).children(recursive=True)
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                for left in family:
                    with suppress(psutil.NoSuchProcess):
                        left.kill()
                process.wait()

    def cut(self) -> None:
        """Pull the plug: packets are lost both ways, and nobody is told."""
        ip("link", "set", self.link, "down")

    def mend(self) -> None:
        """Plug it in again."""
        ip("link", "set", self.link, "up")


@contextmanager
def hosts(number: int) -> Iterator[list[Host]]:
    """Make hosts and the bridge between them; all of it is gone when the block ends."""
    _sweep()
    _move_out()
    made: list[Host] = []
    try:
        ip("link", "set", "lo", "up")
        ip("link", "add", _BRIDGE, "type", "bridge")
        ip("addr", "add", f"{MIDDLE}/24", "dev", _BRIDGE)
        ip("link", "set", _BRIDGE, "up")
        for index in range(1, number + 1):
            made.append(Host(index))
            made[-1].make()
        yield made
    finally:
        for host in made:
            host.unmake()


def _move_out() -> None:
    """Leave the machine's network for one that has nothing yet; it ends with this process.

    Raises:
        OSError: not as root.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "no network namespace of its own: is this root?")


def _sweep() -> None:
    """Take away what a run that was killed has left behind."""
    listed = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True)
    for line in listed.stdout.splitlines():
        if line.startswith("vthost"):
            ip("netns", "del", line.split()[0])
