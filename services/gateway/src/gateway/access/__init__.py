"""Who may use the gateway, as whom, and how much."""
