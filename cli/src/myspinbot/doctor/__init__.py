"""Checks of an installation: what is wrong with it, and how to mend it.

Each module looks at one thing and tells findings; none changes anything.
"""
