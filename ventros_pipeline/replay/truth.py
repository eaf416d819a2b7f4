"""What really existed in a replayed account while it was read: the judge of every import.

Belongs here: facts about messages, and what became of them since the server was started. Does not
belong here: making changes (`live`) or keeping rows (`account`).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

Key = tuple[str, str]


class Fact(NamedTuple):
    """What is true about one message.

    Attributes:
        chat: chat id, `@c.us` form.
        stanza_id: WhatsApp's id; with the chat it names the message.
        timestamp: as the engine serves it; an edit moves it on NOWEB.
        from_me: whether the account wrote it, which rows in LID groups may get wrong.
        kind: engine-neutral, as the generator's truth names kinds.
        body_hash: `stored.digest` of the text or caption; None when there is none.
        ack: -1 to 4; None when nothing is known.
    """

    chat: str
    stanza_id: str
    timestamp: Any
    from_me: bool
    kind: str
    body_hash: str | None
    ack: int | None

    @property
    def key(self) -> Key:
        """What names the message."""
        return self.chat, self.stanza_id


@dataclass(frozen=True)
class Truth:
    """The messages of an account since the server was started, by (chat, stanza id).

    Attributes:
        now: what exists now.
        always: what existed the whole time, as it is now; a complete reader must have all of it.
        appeared: what came later and is still there; a reader may have it.
        vanished: what was there, at the start or in between, and is gone, as it was last.
        changed: the earlier versions of what existed the whole time and changed, oldest first.
    """

    now: dict[Key, Fact]
    always: dict[Key, Fact]
    appeared: dict[Key, Fact]
    vanished: dict[Key, Fact]
    changed: dict[Key, list[Fact]]

    @property
    def everything(self) -> dict[Key, Fact]:
        """Every message that existed at any time; a reader must have nothing else."""
        return self.vanished | self.now

    @classmethod
    def of(cls, now: Iterable[Fact], changes: Iterable[tuple[Fact | None, Fact | None]]) -> "Truth":
        """Work out the truth.

        Args:
            now: what exists now.
            changes: before and after of every change since the start, in order.
        """
        present = {fact.key: fact for fact in now}
        versions: dict[Key, list[Fact]] = {}
        born: set[Key] = set()
        died: set[Key] = set()
        for before, after in changes:
            fact = before or after
            if fact is None:
                continue
            if before is None and fact.key not in versions:
                born.add(fact.key)
            if after is None:
                died.add(fact.key)
            versions.setdefault(fact.key, []).extend([before] if before else [])
        whole = {key: fact for key, fact in present.items() if key not in born and key not in died}
        return cls(
            now=present,
            always=whole,
            appeared={key: fact for key, fact in present.items() if key not in whole},
            vanished={key: versions[key][-1] for key in died if key not in present},
            changed={key: versions[key] for key in whole if versions.get(key)},
        )
