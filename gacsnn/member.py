"""One of the processes that `tasks/spawn.py` starts: python -m gacsnn.member PIPE PARENT."""

import sys
import traceback
from collections.abc import Mapping
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any

from gacsnn.errors import GacsnnError, Pruned
from gacsnn.run import run
from gacsnn.runtime import console
from gacsnn.runtime.signals import end_at_once, end_with_parent, handle_signals
from gacsnn.tasks.spawn import Ended, Order


def main() -> int:
    pipe, parent = Connection(int(sys.argv[1])), int(sys.argv[2])

    def report(line: Mapping[str, Any]) -> None:
        pipe.send(line)
        error = pipe.recv()
        if error is not None:
            raise error

    console.replace_unprintable()
    ended = Ended(None, None)
    try:
        handle_signals()  # those that came meanwhile are heard here
        end_with_parent(parent, at_once=True)
        order = pipe.recv()
        assert isinstance(order, Order)
        with console.labelled(order.label):
            ended = Ended(run(order.config, order.overridden, report if order.reports else None), None)
    except (GacsnnError, Pruned, SystemExit, KeyboardInterrupt) as error:
        ended = Ended(None, error)
    except Exception as error:
        ended = Ended(None, RuntimeError("".join(traceback.format_exception(error))))
    finally:
        end_at_once()
        with suppress(OSError):  # the one who would hear it has ended
            pipe.send(ended)
        pipe.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
