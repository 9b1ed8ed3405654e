"""What the diffusion engines' stages do. Importing this package loads all that computes."""

from gpu_runner.engines.diffusion import libraries

libraries.load()
