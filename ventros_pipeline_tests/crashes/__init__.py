"""Imports that are killed, and servers that fail, at every step that changes anything.

`python -m ventros_pipeline_tests.crashes` (`make crash`) runs all of it and writes the table in
`docs/crashes.md`; `test_crashes.py` runs a share of it with the suite.
"""
