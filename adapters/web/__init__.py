"""The HTTP face: the JSON API of the contract, the worklist and case pages, health and metrics."""
