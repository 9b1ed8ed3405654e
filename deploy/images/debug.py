"""Runs a service so that a debugger can attach to it: `debug.py MODULE [HOST:PORT]`.

For compose.dev.yml. The debugger's adapter is part of this process: one of its own, which debugpy
starts by default, outlives a restart and keeps the port.
"""

from __future__ import annotations

import runpy
import sys

import debugpy

if __name__ == "__main__":
    module, *where = sys.argv[1:]
    host, _, port = (where or ["0.0.0.0:5678"])[0].rpartition(":")
    debugpy.listen((host, int(port)), in_process_debug_adapter=True)
    sys.argv = [module]
    runpy.run_module(module, run_name="__main__", alter_sys=True)
