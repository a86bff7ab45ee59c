"""Reader of dermoscopic photographs: melanoma, seborrheic keratosis or nevus, and whether histology is needed."""

from pipelines.dermoscopy.reader import Dermoscopy

PIPELINE = Dermoscopy()
