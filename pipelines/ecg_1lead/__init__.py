"""Reader of one-lead ECGs, as watches and patches record them: five syndromes and normal against abnormal."""

from pipelines.ecg_1lead.reader import Ecg1Lead

PIPELINE = Ecg1Lead()
