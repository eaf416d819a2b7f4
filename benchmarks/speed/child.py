"""One task in a process of its own: its memory and its wrapped functions are nobody else's.

    python -m benchmarks.speed.child '{"task": "load", ...}'

The task is what `places.Bench.child` writes; the answer is the last line of standard output.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

Task = dict[str, Any]
# High enough never to be waited for: the server is ours.
RATE = 100_000


def read(task: Task) -> Task:
    """Read directory and days into the archive; `read` is the seconds of both."""
    importer, days = _importer(task)

    def work() -> None:
        importer.refresh_directory()
        for _ in importer.read_days(days):
            pass

    return _measured(task, importer, days, work)


def load(task: Task) -> Task:
    """Load archived days."""
    importer, days = _importer(task)
    counts: dict[str, int] = {}

    def work() -> None:
        for loaded in importer.load_days(days):
            for name in ("seen", "inserted", "updated", "unchanged"):
                counts[name] = counts.get(name, 0) + getattr(loaded, name)

    return _measured(task, importer, days, work) | {"counts": counts}


def whole(task: Task) -> Task:
    """Import without Dagster: directory, days, load."""
    importer, days = _importer(task)

    def work() -> None:
        importer.refresh_directory()
        for _ in importer.read_days(days):
            pass
        for _ in importer.load_days(days):
            pass

    return _measured(task, importer, days, work)


def dagster(task: Task) -> Task:
    """Import as `ventros import` does: its runs in process, checks and report included."""
    # The calendar and the resource are built from the environment, as for the command.
    os.environ |= {
        "VENTROS_HOME": task["home"],
        "VENTROS_DATABASE_URL": task["database"],
        "VENTROS_DAGSTER_DATABASE_URL": task["dagster"],
        "VENTROS_HISTORY_START": task["first"],
        **({} if task.get("courteous") else _discourteous(task)),
    }
    os.chdir(task["home"])  # Where no `.env` is.
    import warnings

    from ventros_pipeline.build import build_defs
    from ventros_pipeline.crm.channels import get_channel
    from ventros_pipeline.crm.database import connect
    from ventros_pipeline.environment import open_archive
    from ventros_pipeline.importer import Importer
    from ventros_pipeline.instance import open_instance
    from ventros_pipeline.planning import plan_runs
    from ventros_pipeline.runs import import_history
    from ventros_pipeline.settings import get_settings

    warnings.simplefilter("ignore")
    urls = _noted_urls() if task.get("urls") else []
    profile = _profile(task, "Dagster")
    began, cpu = time.perf_counter(), time.process_time()
    settings = get_settings()
    engine = connect(task["database"])
    channel = get_channel(engine, task["channel"])
    survey = Importer(engine, open_archive(settings), settings, channel, run_id="").survey(
        oldest=True
    )
    plan = plan_runs(
        settings.history_start,
        date.fromisoformat(task["last"]),
        since=None,
        until=None,
        oldest=survey.oldest,
        run_days=settings.run_days if survey.ranges_are_cheap else None,
    )
    with open_instance(settings) as instance:
        import_history(build_defs(), instance, engine, channel, plan)
    answer = _answer(began, cpu, profile) | {"runs": len(plan)}
    if task.get("urls"):
        Path(task["urls"]).write_text(json.dumps(urls), encoding="utf-8")
    return answer


def sync(task: Task) -> Task:
    """Make one incremental pass."""
    from ventros_pipeline.syncing import sync as make_pass

    importer, days = _importer(task)
    done: list[Any] = []
    answer = _measured(task, importer, days, lambda: done.append(make_pass(importer)))
    return answer | {"inserted": done[0].total("inserted"), "days": done[0].days_read}


def bare(task: Task) -> Task:
    """Ask for the same pages and do nothing with them, as many at once as an import may."""
    import httpx

    urls = json.loads(Path(task["urls"]).read_text(encoding="utf-8"))
    headers = {"X-Api-Key": os.environ["VENTROS_BENCH_WAHA_KEY"]}
    with httpx.Client(headers=headers, timeout=300) as client:

        def ask(url: str) -> int:
            return len(client.get(url).raise_for_status().content)

        began, cpu = time.perf_counter(), time.process_time()
        with ThreadPoolExecutor(task["concurrency"]) as pool:
            size = sum(pool.map(ask, urls))
        return _answer(began, cpu, None) | {"requests": len(urls), "bytes": size}


def original(task: Task) -> Task:
    """Import the original's way; see `original.py`."""
    from benchmarks.speed.original import import_one_by_one

    began, cpu = time.perf_counter(), time.process_time()
    rows = import_one_by_one(
        task["database"], task["channel"], task["url"], os.environ["VENTROS_BENCH_WAHA_KEY"]
    )
    return _answer(began, cpu, None) | {"rows": rows}


TASKS: dict[str, Callable[[Task], Task]] = {
    task.__name__: task for task in (read, load, whole, dagster, sync, bare, original)
}


def _discourteous(task: Task) -> dict[str, str]:
    return {
        "VENTROS_WAHA_RATE": str(RATE),
        "VENTROS_WAHA_CONCURRENCY": str(task["concurrency"]),
    }


def _importer(task: Task) -> tuple[Any, list[date]]:
    from ventros_pipeline.archive import Archive
    from ventros_pipeline.crm.channels import get_channel
    from ventros_pipeline.crm.database import connect
    from ventros_pipeline.importer import Importer
    from ventros_pipeline.settings import Settings

    first, last = date.fromisoformat(task["first"]), date.fromisoformat(task["last"])
    courtesy: Task = (
        {}
        if task.get("courteous")
        else {"waha_rate": RATE, "waha_concurrency": task["concurrency"]}
    )
    settings = Settings(home=Path(task["home"]), history_start=first, _env_file=None, **courtesy)
    engine = connect(task["database"], max_overflow=settings.waha_concurrency + 1)
    channel = get_channel(engine, task["channel"])
    now = datetime.fromisoformat(task["now"]) + timedelta(hours=task.get("later", 0))
    importer = Importer(engine, Archive(settings.archive_dir), settings, channel, str(uuid4()), now)
    return importer, [first + timedelta(days=n) for n in range((last - first).days + 1)]


def _measured(task: Task, importer: Any, days: list[date], work: Callable[[], None]) -> Task:
    from ventros_pipeline.crm import ledger

    ledger.start_run(importer.engine, importer.channel, importer.run_id, days[0], days[-1])
    profile = _profile(task, "the rest of the import")
    began, cpu = time.perf_counter(), time.process_time()
    work()
    answer = _answer(began, cpu, profile)
    ledger.end_run(importer.engine, importer.channel, importer.run_id)
    return answer


def _profile(task: Task, rest: str) -> Any:
    if not task.get("profile", True):
        return None
    from benchmarks.speed.profile import Profile

    profile = Profile(rest)
    profile.start()
    return profile


def _answer(began: float, cpu: float, profile: Any) -> Task:
    answer = {
        "seconds": time.perf_counter() - began,
        "cpu": time.process_time() - cpu,
        "peak_mb": _peak_mb(),
    }
    return answer | ({"profile": profile.stop()} if profile else {})


def _peak_mb() -> float:
    """Return the most memory this process has held; `getrusage` would count the parent's too."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) / 1024
    return 0.0


def _noted_urls() -> list[str]:
    """Note the address of every request that the client makes from now on."""
    import httpx

    urls: list[str] = []
    send = httpx.Client.send

    def noting(client: httpx.Client, request: httpx.Request, **how: Any) -> httpx.Response:
        urls.append(str(request.url))
        return send(client, request, **how)

    httpx.Client.send = noting  # type: ignore[method-assign, assignment]
    return urls


def main() -> None:
    """Run the task of the command line."""
    task = json.loads(sys.argv[1])
    print(json.dumps(TASKS[task["task"]](task)), flush=True)


if __name__ == "__main__":
    main()
