"""What the product decides and promises. Knows no socket, no pydicom, no web framework."""
