"""An import in a process of its own, to be killed.

Arguments: database URL, channel, home, run, now, start of the calendar, first day, last day.

It loads one day in one transaction, so that a kill leaves some days loaded and some not.
"""

import sys
from datetime import date, datetime
from pathlib import Path

from ventros_pipeline import importer as importing
from ventros_pipeline.archive import Archive
from ventros_pipeline.crm.channels import get_channel
from ventros_pipeline.crm.database import connect
from ventros_pipeline.settings import Settings
from ventros_pipeline_tests.import_.world import days_between

APPLICATION = "to-be-killed"


def main() -> None:
    url, channel, home, run_id, now, start, first, last = sys.argv[1:]
    engine = connect(url, application_name=APPLICATION)
    settings = Settings(
        home=Path(home),
        history_start=date.fromisoformat(start),
        _env_file=None,  # type: ignore[call-arg]
    )
    importing.WINDOW_ROWS = 1
    importer = importing.Importer(
        engine,
        Archive(Path(home) / "archive"),
        settings,
        get_channel(engine, channel),
        run_id,
        datetime.fromisoformat(now),
    )
    days = days_between(date.fromisoformat(first), date.fromisoformat(last))
    importer.refresh_directory()
    for _ in importer.read_days(days):
        pass
    for _ in importer.load_days(days):
        pass


if __name__ == "__main__":
    main()
