"""Puts an engine with an environment of its own on this machine: `myspinbot engines`.

`docs/adr/0031-engine-environments.md` tells why it is done so.
"""
