"""Whether anything that a full run leaves behind holds a secret, a number or a message.

`needles.py` knows what must not be found, `places.py` looks for it everywhere, `run.py` is the run,
and `test_leaks.py` says which place may hold what.
"""
