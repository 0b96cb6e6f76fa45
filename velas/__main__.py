"""Run the `velas` command as ``python -m velas``."""

from velas.cli import main

if __name__ == "__main__":
    main()
