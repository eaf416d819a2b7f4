"""`ventros`: the pipeline from a terminal, a file for each group of commands.

What belongs here: commands. What does not: rules, figures, and how things are printed
(`console.py`).
"""

from ventros_pipeline.cli.app import app, main

__all__ = ["app", "main"]
