"""Reader of breath sounds: asthma-like, other abnormal, normal."""

from pipelines.asthma.reader import Asthma

PIPELINE = Asthma()
