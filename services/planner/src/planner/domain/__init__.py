"""The planner's decisions: pure functions of a job's state, the time and the live runners.

Nothing here knows NATS, a clock, a random number or a coroutine.
"""
