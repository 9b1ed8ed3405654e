"""A process for what strangers send: it decodes, and can do nothing else (docs/security.md)."""
