"""Compares the views with what the log says, row by row, and changes nothing.

    python -m projector.check [--projection NAME …] [--progress json]

The settings are those of the service: `MYSPINBOT_NATS_URL`, `MYSPINBOT_NATS_SEED` (of the role
`projector`) and `MYSPINBOT_DATABASE_URL`. The service may run meanwhile. Without `--projection`
all are checked. The views are made from nothing in a temporary SQLite database, which takes as
much room in the temporary folder (`TMPDIR`) as the live ones do.

With `--progress json` standard output holds one JSON object a line:

    {"position", "end", "eventsPerS", "etaS"}                   while it works; etaS may be null
    {"difference": {"projection", "table", "key": {…}, "column", "live", "rebuilt"}}
    {"projection", "version", "position", "rows", "differences"}        for each projection
    {"done": true, "rows", "differences", "seconds"}
    {"error", "remedy"}                                         the last line, if it failed

`column` is null where a whole row is missing: then `live` or `rebuilt` is null, and the other one
is the row. Exit status: 0 no difference, 1 differences or failed, 2 misuse (with an error line
too).
"""
