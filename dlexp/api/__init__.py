"""dlexp in Python: `import dlexp` exports what is here, and loads it when it is first used."""
