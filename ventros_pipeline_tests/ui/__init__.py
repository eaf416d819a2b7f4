"""`ventros up` as its users meet it: a real Chromium, a real Postgres, a replayed WAHA."""
