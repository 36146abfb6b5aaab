"""`python -m herfast` is the command `herfast`."""

from herfast.cli.main import main

if __name__ == "__main__":
    raise SystemExit(main())
