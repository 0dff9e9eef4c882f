"""``python -m fastbp``: what a bug report should tell. ``python -m fastbp tune``: block sizes."""

import argparse
import sys
from collections.abc import Sequence

from fastbp.system import show_config
from fastbp.tuning import tuning


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit status.

    Parameters
    ----------
    arguments : sequence of str, optional
        Of the command line, by default this process's.
    """
    parser = argparse.ArgumentParser(
        "python -m fastbp",
        description="Without a command: print versions, processor and peak, as bug reports want.",
    )
    tune = parser.add_subparsers(title="commands", dest="command").add_parser(
        "tune",
        help="measure which sizes of blocks are the fastest on this processor",
        description=(
            "Measure which sizes of blocks are the fastest on this processor, show them, and keep "
            "them beside the compiled kernels, where networks look for them from then on. That "
            "takes some seconds, and up to a minute where kernels have to be compiled first; "
            "nothing else should be running. Whatever the sizes, training gives the same bits."
        ),
    )
    only = tune.add_mutually_exclusive_group()
    only.add_argument("--show", action="store_true", help="measure nothing: show those in use")
    only.add_argument(
        "--forget", action="store_true", help="measure nothing: forget what was measured"
    )
    told = parser.parse_args(arguments)
    if told.command is None:
        show_config()
        return 0
    try:
        if told.forget:
            tuning.forget()
        elif not told.show:
            sys.stderr.write("measuring: some seconds, a minute where kernels are compiled first\n")
            tuning.tune()
    except OSError as error:
        sys.stderr.write(f"cannot change what is kept beside the compiled kernels: {error}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("interrupted: the sizes are those from before\n")
        return 130
    sys.stdout.write(tuning.report())
    return 0


if __name__ == "__main__":
    sys.exit(main())
