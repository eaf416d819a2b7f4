"""What a message means: pure polars, frame in, frame out. No I/O, no clock, no Dagster."""
