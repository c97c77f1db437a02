"""MiniMimic: a latent diffusion model that two cores can train; relative evidence from a small model.

`train.trained` trains it once; then it stands for the generators that mimics fine-tune.
"""
