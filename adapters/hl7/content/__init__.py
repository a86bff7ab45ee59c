"""HL7 v2 content: bytes to our types and back; pure, no I/O."""
