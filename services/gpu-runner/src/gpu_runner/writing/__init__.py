"""From a topic to words for somebody to say, and to the scene that they are said in."""
