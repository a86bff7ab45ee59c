"""Head MR for acute ischaemic stroke."""
