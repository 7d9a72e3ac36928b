"""Command line: train, evaluate, explain, gallery and info."""

from __future__ import annotations

import sys

from dpnet.command_line import build_parser

USER_ERRORS = (
    ValueError,
    TypeError,
    FileNotFoundError,
    NotADirectoryError,
    IsADirectoryError,
    PermissionError,
)


def main(arguments: list[str] | None = None) -> int:
    """Run a subcommand; user errors end in one line on stderr and exit status 2."""
    options = build_parser().parse_args(arguments)
    from dpnet import commands  # here: what they load takes seconds, which --help need not spend

    try:
        getattr(commands, options.command)(options)
    except USER_ERRORS as error:
        print(f"dpnet {options.command}: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
