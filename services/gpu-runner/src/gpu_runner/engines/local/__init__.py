"""The engine that prepares photos and a clip with what every installation has."""
