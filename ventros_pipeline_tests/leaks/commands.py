"""A process that runs one command of `ventros` after the other, as they are read from its input.

Each line is a JSON list of arguments; `{"media": CHANNEL}` runs the asset `message_media`. After
each a line with its exit code follows on standard output. It is one process only because starting
one takes longer than most commands do.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from ventros_pipeline import cli
from ventros_pipeline.settings import get_settings

END = "\x1e"


def main() -> None:
    for line in sys.stdin:
        said = json.loads(line)
        code = _media(said["media"]) if isinstance(said, dict) else _command(said)
        print(f"{END}{code}", flush=True)


def _command(arguments: list[str]) -> Any:
    sys.argv = ["ventros", *arguments]
    get_settings.cache_clear()
    try:
        cli.main()
    except SystemExit as ended:
        return ended.code or 0
    return 0


def _media(channel: str) -> int:
    import dagster as dg

    from ventros_pipeline.build import build_defs
    from ventros_pipeline.instance import open_instance
    from ventros_pipeline.resources import ATTENDED

    with open_instance(get_settings()) as instance:
        done = (
            build_defs()
            .resolve_implicit_global_asset_job_def()
            .execute_in_process(
                instance=instance,
                raise_on_error=False,
                asset_selection=[dg.AssetKey("message_media")],
                partition_key=channel,
                tags={ATTENDED: "true"},
            )
        )
    return 0 if done.success else 1


if __name__ == "__main__":
    main()
