"""FHIR over HTTP: our `/fhir` endpoint, the client that delivers, and a small receiving server."""
