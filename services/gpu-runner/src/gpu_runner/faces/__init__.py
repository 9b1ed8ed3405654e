"""Finding faces in pictures, measuring them, cutting them out and telling them apart."""
