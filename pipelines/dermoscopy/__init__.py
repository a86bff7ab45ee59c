"""Reader of dermoscopic photographs: melanoma, seborrheic keratosis or nevus, and whether histology is needed."""
