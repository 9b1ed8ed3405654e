"""The dashboards of a deployment."""
