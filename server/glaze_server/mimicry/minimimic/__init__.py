"""MiniMimic: a latent diffusion model that two cores can train; relative evidence from a small model.

`python -m glaze_server.mimicry.minimimic.train` trains it once; then it stands for the generators of mimics.
"""
