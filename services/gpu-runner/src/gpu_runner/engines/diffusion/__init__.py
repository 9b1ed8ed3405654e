"""LoRA training and sampling for any latent diffusion base in diffusers' layout."""
