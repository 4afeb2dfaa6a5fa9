"""Trained models at work: pictures go in, scores come out; and the files in which such models travel.

`bench.scoring.load` opens one, `bench.scoring.scorer` is it. Importing this room alone loads no torch.
"""
