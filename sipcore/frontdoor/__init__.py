"""The front door: one public SIP address in front of all workers (RFC 3261 §16.11, docs/adr/0005-front-door.md)."""
