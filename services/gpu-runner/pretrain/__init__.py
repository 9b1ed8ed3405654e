"""Pretrains the `mini` base: a latent diffusion pipeline small enough to ship and to tune on a CPU.

Run `python -m pretrain --help` in `services/gpu-runner`. Nothing here is imported by
the running system; only the weights it writes are. See docs/adr/0003-mini-base.md.
"""
