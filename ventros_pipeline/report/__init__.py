"""The report of a channel: whether everything is there, in figures, words and pictures.

What belongs here: which figures there are (`figures.py`), what they mean (`verdict.py`), in which
words (`words.py`), and how they look: drawn (`pictures.py` over `drawing.py`), as one HTML page
(`page.py`) and as markdown (`markdown.py`). What does not: the queries (`crm/figures.py`,
`crm/ledger.py`), and who asks for a report. Nothing here shows a text, a number or a name of a
person; there is none in the figures.
"""

from ventros_pipeline.report.figures import Report, report_of

__all__ = ["Report", "report_of"]
