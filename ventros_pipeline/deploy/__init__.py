"""What an installation is made of: Dagster's settings and, beside them, container files."""
