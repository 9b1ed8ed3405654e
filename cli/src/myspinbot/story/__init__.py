"""What the log tells of a job, in words and numbers: pure functions over its events."""

from myspinbot.story.sentences import colour, sentence

__all__ = ["colour", "sentence"]
