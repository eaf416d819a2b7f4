"""Jobs: what is run together, thin. When it is run stands in `schedules.py` and `sensors/`.

What belongs here: the order of channels, and what the UI is told. What does not: any rule.
"""
