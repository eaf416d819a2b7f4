"""How fast, against what cannot be beaten: `python -m benchmarks.speed`.

What belongs here: one line for each target of speed, as a ratio of two things that were measured in
turn in one run on one machine, because seconds alone say more of the machine than of the program.
What does not: timing code in the product (`profile.py` wraps its functions from outside), and tests
of speed, which there are none of.
"""
