"""Engines that others bring: a folder with a manifest, and a program that is run for each stage.

`docs/plugins.md` tells their authors all of it, `docs/adr/0027-plugins.md` why it is so.
"""
