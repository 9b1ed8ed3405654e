"""Makes a projection anew from the log, beside the one that answers, and switches to it.

    python -m projector.rebuild --projection NAME [--projection NAME …] [--job ID] [--fresh]
                                [--progress json]
    python -m projector.rebuild --drop-old [--progress json]

The settings are those of the service: `MYSPINBOT_NATS_URL`, `MYSPINBOT_NATS_SEED` (of the role
`projector`) and `MYSPINBOT_DATABASE_URL`. The service may run meanwhile, and goes on answering.

With `--progress json` standard output holds one JSON object a line:

    {"projection", "position", "end", "eventsPerS", "etaS"}     while it works; etaS may be null
    {"projection", "done": true, "position", "events", "written", "removed", "seconds"}
    {"dropped": ["stages_v1", …]}                               for --drop-old
    {"error", "remedy"}                                         the last line, if it failed

`position` and `end` are sequences of the log, `events` is how many were folded, and `written`
and `removed` are rows that were not as the log tells. Exit status: 0 done, 1 failed, 2 misuse
(with an error line too). A rebuild that was killed goes on where it was when it is started
again; `--fresh` begins anew. `--job` does it for the rows of one job, at once.
"""
