"""A WAHA server that replays a recorded or generated account: for the demo, tests and load.

Belongs here: everything that pretends to be WAHA. It imports nothing from the code that reads
WAHA, so that the two can be tested against each other, and nothing from Dagster.
"""
