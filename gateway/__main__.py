"""`python -m gateway` is the console script `triage-gateway`."""

from gateway.app import main

main()
