"""What a person should know of a WAHA session before an import, and what to do about it.

What belongs here: questions about the server, the session and the key. What does not: reading any
message, and changing anything.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ventros_pipeline.waha.client import Engine, Probe, WahaClient
from ventros_pipeline.waha.errors import WahaConfigurationError, WahaError, WahaNotReadyError

# Before it the server knows no `merge` and no filters for all chats, and is read more slowly.
RECENT = (2026, 3, 1)


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong; `cure` is what to do.

    Attributes:
        hinders: whether an import cannot go well until a person does it.
    """

    name: str
    says: str
    cure: str
    hinders: bool = True


@dataclass
class Health:
    """What was found."""

    facts: dict[str, str] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)


def examine(client: WahaClient) -> Health:
    """Ask a session how it is."""
    health = Health()
    try:
        probe = client.probe()
        config = client.session_info().get("config")
    except WahaNotReadyError as error:
        health.problems.append(
            Problem("waha_session_not_working", str(error), "pair or start the session in WAHA")
        )
    except WahaConfigurationError as error:
        health.problems.append(
            Problem("waha_refuses", str(error), "correct the channel's session, address or key")
        )
    except WahaError as error:
        health.problems.append(
            Problem("waha_unreachable", str(error), "start WAHA, or correct the channel's address")
        )
    else:
        health.facts |= _facts(probe)
        health.problems += _of_server(probe)
        health.problems += _of_store(probe, config if isinstance(config, dict) else {})
    return health


def _facts(probe: Probe) -> dict[str, str]:
    return {
        "waha": " ".join(filter(None, (probe.version or "unknown", probe.engine, probe.tier))),
        "waha_session": probe.session_status,
        # A key of one session may not ask for the server's version.
        "waha_key": "of this session alone" if probe.version is None else "of the whole server",
    }


def _of_server(probe: Probe) -> list[Problem]:
    problems = []
    if probe.engine is Engine.UNKNOWN:
        problems.append(
            Problem(
                "waha_engine_unknown",
                "WAHA does not say which engine it runs, or it is none of those known here.",
                "set WHATSAPP_DEFAULT_ENGINE of WAHA to NOWEB, GOWS, WEBJS or WPP",
            )
        )
    if probe.version_tuple and probe.version_tuple < RECENT:
        problems.append(
            Problem(
                "waha_is_old",
                "This WAHA is read with more requests, and some of its answers are wrong.",
                f"update it to {'.'.join(map(str, RECENT))} or later",
                hinders=False,
            )
        )
    return problems


def _of_store(probe: Probe, config: Mapping[str, Any]) -> list[Problem]:
    if probe.engine is not Engine.NOWEB:
        return []
    noweb = config.get("noweb")
    store = noweb.get("store") if isinstance(noweb, dict) else None
    store = store if isinstance(store, dict) else {}
    if not store.get("enabled"):
        return [
            Problem(
                "waha_store_off",
                "NOWEB keeps no history: its store is switched off.",
                "set config.noweb.store.enabled and fullSync to true, then pair the session anew",
            )
        ]
    if not store.get("fullSync"):
        return [
            Problem(
                "waha_store_is_short",
                "NOWEB's store holds about three months: fullSync is off.",
                "for a year set config.noweb.store.fullSync to true, then pair the session anew",
                hinders=False,
            )
        ]
    return []
