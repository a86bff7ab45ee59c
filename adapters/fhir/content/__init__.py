"""FHIR R4 resources ↔ the gateway's types: pure, no I/O."""
