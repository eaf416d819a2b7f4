"""The targets, as data, in the order of the table."""

from __future__ import annotations

from benchmarks.speed.figures import AT_LEAST, AT_MOST, Target
from benchmarks.speed.serving import WAHA_PACE

_REFERENCE = "1,172 chats, 5,683 messages"
_MILLION = "1,000,000"
# What the reference set is read with beside its two targets, to see what waiting costs.
ENGINES = ("noweb", "webjs")
LATENCIES = (0, 50, 300)

TARGETS = (
    Target(
        "daemon.whole",
        "reference set, NOWEB, 50 ms: request to checks green, daemon",
        AT_MOST,
        20,
        "s",
        _REFERENCE,
    ),
    Target(
        "daemon.plan",
        "the same as a plan of runs, by the sensor",
        "",
        0,
        "s",
        _REFERENCE,
    ),
    Target(
        "reference.dagster",
        "the same in process, without the daemon",
        AT_MOST,
        10,
        "s",
        _REFERENCE,
    ),
    Target("reference.importer", "the same without Dagster", "", 0, "s", _REFERENCE),
    Target(
        "webjs.importer",
        "reference set, WEBJS, 300 ms ÷ (requests × latency / concurrency × 1.3 + 10 s)",
        AT_MOST,
        1,
        "×",
        _REFERENCE,
    ),
    *(
        Target(
            f"latency.{engine}.{latency}",
            f"reference set, {engine.upper()}, {latency} ms, without Dagster",
            "",
            0,
            "s",
            _REFERENCE,
        )
        for engine in ENGINES
        for latency in LATENCIES
    ),
    Target(
        "bare.whole",
        f"whole import ÷ reading the same pages bare, from a source of {WAHA_PACE:,} messages/s",
        AT_MOST,
        1.6,
        "×",
        _MILLION,
    ),
    Target("bare.unpaced", "the same from the replay server unpaced", "", 0, "×", _MILLION),
    Target("load.copy", "load ÷ direct COPY of the same rows", AT_MOST, 1.7, "×", _MILLION),
    Target(
        "load.floor",
        "direct COPY of all that the load writes: sessions and keys, too ÷ of the messages alone",
        "",
        0,
        "×",
        _MILLION,
    ),
    Target(
        "load.growth",
        "time to copy all that for a message ÷ the same into small tables",
        "",
        0,
        "×",
        _MILLION,
    ),
    Target("load.again", "re-import of unchanged rows ÷ first load", AT_MOST, 0.2, "×", _MILLION),
    Target("load.versions", "row versions that the re-import writes", AT_MOST, 0, "", _MILLION),
    Target("load.wal", "WAL that the re-import writes, a row", AT_MOST, 1, "bytes", _MILLION),
    Target("load.changed", "1 % changed statuses ÷ first load", AT_MOST, 0.25, "×", _MILLION),
    Target("dlt.whole", "the same job in dlt ÷ ours", AT_LEAST, 8, "×", "100,000"),
    Target(
        "original.whole",
        "the original's way, a transaction a message ÷ ours",
        AT_LEAST,
        50,
        "×",
        "10,000",
    ),
    Target("growth.memory", "peak memory", AT_MOST, 700, "MB", "10,000,000"),
    Target(
        "growth.equal",
        "peak memory at the largest size ÷ at the one before",
        AT_MOST,
        1.15,
        "×",
        "1,000,000 and 10,000,000",
    ),
    Target(
        "growth.time",
        "time for a message at the largest size ÷ at the smallest",
        AT_MOST,
        1.2,
        "×",
        "100,000 to 10,000,000",
    ),
    Target(
        "growth.full",
        "load into a full table ÷ into an empty one",
        AT_MOST,
        1.2,
        "×",
        "100,000 beside 10,000,000",
    ),
    Target("sync.pass", "pass with 1 new message", AT_MOST, 1.5, "s", _MILLION),
    Target("sync.constant", "the same, big channel ÷ small channel", AT_MOST, 1.2, "×", _MILLION),
)
