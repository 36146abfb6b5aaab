"""Run the command `herfast` by `python -m herfast`."""

from herfast.cli.main import main

if __name__ == "__main__":
    raise SystemExit(main())
