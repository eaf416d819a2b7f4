"""Measurements, run by hand: `make bench`, or `python -m benchmarks.<name>`.

What belongs here: programs that measure the pipeline against the replay server and print figures
with the target beside each. What does not: tests, which assert (`ventros_pipeline_tests`). Nothing
here is imported by the package; a missed target is printed, and the exit code stays 0.
"""
