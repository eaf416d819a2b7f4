"""The sensors, thin: each looks within its budget, asks a room what is to be done, and requests it.

All are off until a person turns them on. A tick is killed after 60 s and loses everything that it
would have returned, so each ends after 40 s at most, counted from its entry, and goes on there the
next time: the cursor says where.
"""

BUDGET_SECONDS = 40.0


def offset_of(cursor: str | None) -> int:
    """Return a cursor as the offset of a rotation; one that cannot be read begins anew."""
    return int(cursor) if cursor and cursor.isdecimal() else 0
