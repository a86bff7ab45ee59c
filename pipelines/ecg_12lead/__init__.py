"""Reader of 12-lead ECGs: eleven syndromes and normal against abnormal."""

from pipelines.ecg_12lead.reader import Ecg12Lead

PIPELINE = Ecg12Lead()
