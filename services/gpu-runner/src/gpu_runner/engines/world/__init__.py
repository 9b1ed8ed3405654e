"""`world`: a packaged voice, mixed and converted until it resembles the clip's speaker.

It runs on any CPU. It matches pitch, pace and colour of a voice; it does not clone it.
"""
