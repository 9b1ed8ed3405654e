"""Webhooks: told to other programs over HTTP, signed, again until they have heard."""
