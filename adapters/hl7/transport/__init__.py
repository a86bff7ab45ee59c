"""HL7 v2 transport: MLLP server and client; thin I/O around `adapters.hl7.content`."""
