"""The one program: command line -> config -> run -> results. `python launch.py --help` shows the options."""

import os
import signal
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from omegaconf import DictConfig


def job(composed: "DictConfig") -> float | None:
    """One run, of one composed config. Returns the objective: top-1 on the validation split, in percent."""
    from hydra.core.hydra_config import HydraConfig
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.types import RunMode
    from omegaconf import OmegaConf

    from gacsnn.config import validate

    hydra = HydraConfig.get()
    values = OmegaConf.to_container(composed, resolve=True)
    asked = [o.key_or_group for o in OverridesParser.create().parse_overrides(list(hydra.overrides.task))]
    if hydra.mode == RunMode.MULTIRUN and values["output_dir"] is None:
        values["output_dir"] = hydra.runtime.output_dir
    config = validate(values)

    from gacsnn.run import run

    return run(config, asked)


def main() -> int:
    """Run the command line. Returns the exit code: 2 for a mistake of the user's, 130 after Ctrl-C."""
    os.environ["HYDRA_FULL_ERROR"] = "1"  # exceptions come here, and not as a page on the terminal
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    from gacsnn.errors import Diverged, InputError

    try:
        import hydra
        from hydra.errors import HydraException
        from omegaconf.errors import OmegaConfBaseException
    except KeyboardInterrupt:
        return 130

    try:
        hydra.main(config_path="conf", config_name="config")(job)()
    except InputError as error:
        return complain(str(error), 2)
    except (HydraException, OmegaConfBaseException) as error:
        from gacsnn.mistakes import one_line

        return complain(one_line(str(error)), 2)
    except Diverged as error:
        return complain(str(error), 1)
    except KeyboardInterrupt:
        return 130
    return 0


def complain(message: str, code: int) -> int:
    print(f"error: {message}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
