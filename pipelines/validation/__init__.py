"""What every reader's `validate` shares: a reader scores its records, the rest is done here. No torch.

A reader gives `pipelines/NAME/validate.py` with

    def score(data: Path, inference: Inference, *, progress: Progress, ...) -> Scored

(`folds` and `recordings` are passed where its signature names them) and the command makes of it the JSON of
`report.report`, the CSV of `predictions.write`, the page of `page.page`, the pictures of `plots.save` and the
thresholds of `operating`. `table.read_table` reads a hospital's own labelled data.
"""
