"""Speech: reading a voice clip, speaking text, changing and measuring a voice.

Every module here is usable alone; nothing is imported until it is needed, because a
stage's child process pays for each import anew.
"""
