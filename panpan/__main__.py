"""`python -m panpan`: the command line."""

from panpan.cli.app import main

if __name__ == "__main__":
    main()
