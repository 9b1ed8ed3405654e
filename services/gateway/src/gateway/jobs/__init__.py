"""Jobs: asked for, shown, listed, changed."""
