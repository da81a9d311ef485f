"""Time series: their steps, gaps, parts, windows and the forecasts that need no network."""
