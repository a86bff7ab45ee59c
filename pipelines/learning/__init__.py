"""What every reader's `train` shares: folds, seeds, the training loop, calibration, export. Needs the `train` extra.

`folds` and `calibration` need numpy and scipy alone; `training` and `export` need torch. Nothing that serves imports
this package.
"""
