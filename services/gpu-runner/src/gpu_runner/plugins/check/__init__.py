"""Whether a plug-in keeps to the protocol: `python -m gpu_runner.plugins.check FOLDER`.

The plug-in is started as a runner would start it, on small inputs that are made for it, on bad
ones, and killed half-way. For authors; needs no broker and no store.
"""
