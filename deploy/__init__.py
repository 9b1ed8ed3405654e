"""How a deployment is set up, as far as it is made by code."""
