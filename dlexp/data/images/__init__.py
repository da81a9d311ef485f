"""Images: found, decoded, placed in memory and normalized."""
