"""The assets, thin: each reads its keys, calls `importer.py`, and says what was done."""
