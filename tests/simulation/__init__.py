"""The services in a simulated world: one seed decides all that happens, and replays it."""
