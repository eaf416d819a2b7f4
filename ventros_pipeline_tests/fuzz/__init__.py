"""What must hold for any bytes at all: laws of decoding, ids, phones, webhooks and plans.

`make fuzz` lets a coverage-guided fuzzer look for bytes that break one; what it finds is kept in
`seeds/`, and `test_fuzz.py` holds every law against all seeds and against random bytes.
"""
