"""What the stages of all diffusion engines do; an engine adds its base and its defaults."""
