"""``python -m bench.gpu pack`` and ``python -m bench.gpu run``: see the package."""

import argparse
import signal
import sys
from pathlib import Path

LIMIT = 480  # seconds for all of ``run``


def main() -> int:
    """Pack or run; 0 if every step of a run passed, 1 if not."""
    parser = argparse.ArgumentParser(prog="python -m bench.gpu", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    pack = verbs.add_parser("pack", help="what the machine with the GPU needs, as one archive")
    pack.add_argument("--python", default="3.12", help="the Python of that machine")
    run = verbs.add_parser("run", help="every step, on this machine")
    run.add_argument("--out", type=Path, default=Path("out"), help="where the report goes")
    run.add_argument("--stand-in", action="store_true", help="on a CPU: no figure is claimed")
    args = parser.parse_args()
    if args.verb == "pack":
        from bench.gpu import pack as packing

        bundle = packing.pack(args.python)
        print(f"{bundle}  {bundle.stat().st_size / 2**20:.1f} MiB")
        return 0
    from bench.gpu import report, steps

    signal.alarm(LIMIT)  # however it hangs, it ends; what was started ends with it
    results = steps.run_all(stand_in=args.stand_in)
    report.write(args.out, results)
    print((args.out / "report.md").read_text())
    return 0 if all(result.passed for result in results) else 1


if __name__ == "__main__":
    sys.exit(main())
