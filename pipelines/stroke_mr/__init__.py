"""Head MR for acute ischaemic stroke."""

from pipelines.stroke_mr.reader import StrokeMr

PIPELINE = StrokeMr()
