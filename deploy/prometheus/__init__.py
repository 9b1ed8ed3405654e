"""What is asked of metrics, and the page about them."""
