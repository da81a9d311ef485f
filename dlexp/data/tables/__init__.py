"""Tables: raw columns to encoded features and back."""
