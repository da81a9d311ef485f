"""Photos: patches in two resolutions, and a photo with the style of another."""
