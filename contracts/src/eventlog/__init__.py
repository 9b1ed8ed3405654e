"""The one door to NATS: every service reads and writes the log, the queue and the boards here."""
