"""The assets, thin: each reads its keys, calls `importer.py`, and says what was done.

What an asset is, when to materialise it, what its figures mean and what to do when it fails stands
in `descriptions/`, a page of markdown for each, which the UI shows.
"""

from importlib.resources import files


def described(asset: str) -> str:
    """Return the description of an asset."""
    return (files(__name__) / "descriptions" / f"{asset}.md").read_text(encoding="utf-8")
