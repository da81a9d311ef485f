"""Files written in one step and read with a limit on their size."""
