"""The trace of a job: the spans that services told of it, completed from the log."""
