"""What this installation can do, how busy it is, and how long things take on it."""
