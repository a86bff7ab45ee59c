"""Reader of 12-lead ECGs for infarction and its site."""

from pipelines.ecg_mi.reader import EcgMi

PIPELINE = EcgMi()
