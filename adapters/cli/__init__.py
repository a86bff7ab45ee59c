"""The terminal: `triage-gateway` and its commands."""
