"""People who were trained."""
