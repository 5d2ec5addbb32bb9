"""How a receiver knows that a webhook was called by us, and when."""

import hashlib
import hmac

VERSION = "v1"
# Beside the body's own headers; the timestamp is in seconds since 1970.
TIMESTAMP_HEADER, SIGNATURE_HEADER, KEY_HEADER = "Relata-Timestamp", "Relata-Signature", "Idempotency-Key"


def sign(secret: str, timestamp: int, body: bytes) -> str:
    """The signature of a body: `v1=` and the HMAC-SHA256, in hex, of the timestamp, a point, and the body."""
    signed = str(timestamp).encode() + b"." + body
    return f"{VERSION}={hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()}"
