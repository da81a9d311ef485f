"""`python -m dlexp` is the `dlexp` command."""

from dlexp.cli.app import main

if __name__ == "__main__":
    main()
