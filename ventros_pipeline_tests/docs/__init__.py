"""The documentation: what its pages say is run, and where they point is looked up."""
