"""Running texts: read, cleaned, cut into windows, and what simple models predict of them."""
