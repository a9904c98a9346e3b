"""`python -m topology` is `sentinel`: for processes that start others, whatever the PATH."""

from topology.cli import main

if __name__ == "__main__":
    main()
