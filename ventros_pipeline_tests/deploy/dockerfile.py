"""A Dockerfile as steps: as much of the format as ours uses, and nothing that it does not."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "ventros_pipeline" / "deploy"
_KNOWN = ("ENV", "WORKDIR", "COPY", "RUN", "USER", "EXPOSE", "HEALTHCHECK", "CMD")


@dataclass(frozen=True)
class Step:
    """One instruction after a FROM."""

    verb: str
    text: str

    @property
    def words(self) -> list[str]:
        """Its text as a shell would split it."""
        return shlex.split(self.text)

    @property
    def origin(self) -> str | None:
        """The stage that a COPY takes from; None for the checkout."""
        first = self.words[0]
        return first.removeprefix("--from=") if first.startswith("--from=") else None

    @property
    def paths(self) -> list[str]:
        """Sources of a COPY and, last, where to."""
        return [word for word in self.words if not word.startswith("--")]

    @property
    def variables(self) -> dict[str, str]:
        """What an ENV sets."""
        return dict(word.split("=", 1) for word in self.words)


@dataclass(frozen=True)
class Stage:
    """A FROM and what follows it."""

    base: str
    name: str
    steps: list[Step] = field(default_factory=list)

    def last(self, verb: str) -> Step:
        """Return the instruction that holds."""
        return next(step for step in reversed(self.steps) if step.verb == verb)

    def command(self) -> list[str]:
        """Return what a container runs."""
        found: list[str] = json.loads(self.last("CMD").text)
        return found


def stages(path: Path = DEPLOY / "Dockerfile") -> list[Stage]:
    """Read a Dockerfile.

    Raises:
        ValueError: an instruction is none that this reads.
    """
    given: dict[str, str] = {}
    found: list[Stage] = []
    for line in path.read_text("utf-8").splitlines():
        verb, _, text = line.strip().partition(" ")
        if not verb or verb.startswith("#"):
            continue
        if verb == "ARG" and not found:
            name, _, value = text.partition("=")
            given[name] = value
        elif verb == "FROM":
            base, _, name = text.partition(" AS ")
            for known, value in given.items():
                base = base.replace(f"${{{known}}}", value)
            found.append(Stage(base, name))
        elif verb in _KNOWN:
            found[-1].steps.append(Step(verb, text))
        else:
            raise ValueError(f"{path.name}: {line!r} is not read here")
    return found
