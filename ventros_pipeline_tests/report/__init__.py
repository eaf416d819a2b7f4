"""The report of a channel: verdict, words, pictures, page; most of it without a database."""
