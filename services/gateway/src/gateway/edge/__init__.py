"""What every connection passes before it reaches a route."""
