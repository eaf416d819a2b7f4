"""Tests of the room that knows WAHA."""
