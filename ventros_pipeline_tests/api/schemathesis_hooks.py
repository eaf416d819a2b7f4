"""What schemathesis cannot know by itself: how a webhook is signed."""

from __future__ import annotations

import json
import os
import time
from typing import Any

import schemathesis

from ventros_pipeline.waha.events import signature_of


@schemathesis.auth(refresh_interval=None, retry_on=[]).apply_to(operation_id="takeEvent")
class Signed:
    """Makes a webhook of now and of the channel's session, where it has these, and signs it."""

    def get(self, case: Any, context: Any) -> str:
        del case, context
        return os.environ["VENTROS_TEST_WEBHOOK_KEY"]

    def set(self, case: Any, data: str, context: Any) -> None:
        del context
        now = int(time.time() * 1000)
        if isinstance(case.body, dict):
            if type(case.body.get("timestamp")) is int:
                case.body["timestamp"] = now
            if isinstance(case.body.get("session"), str):
                case.body["session"] = os.environ["VENTROS_TEST_SESSION"]
        case.headers["X-Webhook-Timestamp"] = str(now)
        try:
            raw = json.dumps(case.body).encode()
        except TypeError:  # No body at all.
            raw = b""
        case.headers["X-Webhook-Hmac"] = signature_of(data, raw)
