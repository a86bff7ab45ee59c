"""The composition root: the only place that knows adapters and pipelines at once.

`parts` is what everything stands on, `reading` turns studies into results and sends them, `receiving` takes in, `web`
serves pages and API, `gateway` starts and stops them; `commands` is the terminal.
"""
