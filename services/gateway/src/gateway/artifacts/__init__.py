"""What jobs were given and have made, as bytes."""
