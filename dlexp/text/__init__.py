"""Text for people and shells: quoting, times, and letters that are safe to print."""
