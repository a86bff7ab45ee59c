"""What readers of ECGs share: preparation, quality, delineation, measurements, augmentation, PTB-XL. None reads."""
