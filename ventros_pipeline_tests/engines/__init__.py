"""Whole imports of a small account from each engine, however badly its server behaves."""
