"""`python -m gateway` is the console script `triage-gateway`."""

from gateway.app.commands import main

main()
