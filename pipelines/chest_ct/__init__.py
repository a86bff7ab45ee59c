"""Reader of chest CT: opacity, nodule or mass, pleural effusion, emphysema (demonstration models)."""

from pipelines.chest_ct.reader import ChestCt

PIPELINE = ChestCt()
