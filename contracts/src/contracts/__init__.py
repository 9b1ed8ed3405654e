"""What travels between MySpinBot's services: events, commands, queries and what they carry.

Pydantic models and pure functions only. Nothing here opens a socket, reads a clock
or draws a random number, so any service, tool or test may import all of it.
"""
