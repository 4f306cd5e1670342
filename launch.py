"""The one program: command line -> config -> run -> results. `python launch.py --help` shows the options."""

import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from omegaconf import DictConfig


def job(composed: "DictConfig") -> Any:
    """One run, of one composed config. Returns what a sweep compares: top-1 on the validation split, in percent."""
    from hydra.core.hydra_config import HydraConfig
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.types import RunMode
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    from gacsnn import progress
    from gacsnn.config import validate
    from gacsnn.errors import DivergenceError, InputError
    from gacsnn.mistakes import one_line
    from gacsnn.sweep import objective, reporter_of_job, trial_number

    trial = trial_number()
    hydra = HydraConfig.get()
    asked = [o.key_or_group for o in OverridesParser.create().parse_overrides(list(hydra.overrides.task))]
    try:
        values: Any = OmegaConf.to_container(composed, resolve=True)
        if hydra.mode == RunMode.MULTIRUN and values["output_dir"] is None and values["resume"] is None:
            values["output_dir"] = hydra.runtime.output_dir
        config = validate(values)
        from gacsnn.run import run  # brings torch, which takes seconds: only for a config that is right

        report = None if trial is None else reporter_of_job(hydra, trial)
        progress.label = "" if trial is None else f"trial {trial}: "
        return objective(hydra, run(config, asked, report))
    except (InputError, OmegaConfBaseException, DivergenceError) as error:
        if trial is not None:
            raise  # to the sweep, which records it and goes on
        if isinstance(error, DivergenceError):
            sys.exit(complain(str(error), 1))
        sys.exit(complain(one_line(str(error)) if isinstance(error, OmegaConfBaseException) else str(error), 2))
    finally:
        progress.label = ""


def main() -> int:
    """Run the command line. Returns the exit code: 2 for a mistake of the user's, 130 after Ctrl-C."""
    os.environ["HYDRA_FULL_ERROR"] = "1"  # exceptions come here, and not as a page on the terminal
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        # Imported here, because workers started by spawn import this file again.
        import hydra
        from hydra.errors import HydraException
        from omegaconf import OmegaConf
        from omegaconf.errors import OmegaConfBaseException

        from gacsnn.errors import InputError, SweepError
        from gacsnn.sweep import register

        register()
        OmegaConf.register_resolver("gacsnn.options", options_help, replace=True)
        try:
            hydra.main(config_path=str(Path(__file__).resolve().parent / "conf"), config_name="config")(job)()
        except InputError as error:
            return complain(str(error), 2)
        except SweepError as error:
            return complain(str(error), 1)
        except (HydraException, OmegaConfBaseException, ValueError) as error:
            from gacsnn.mistakes import one_line

            ours = isinstance(error, HydraException | OmegaConfBaseException)
            if not ours and "Config group override" not in str(error):
                raise
            return complain(one_line(str(error)), 2)
    except KeyboardInterrupt:
        return 130
    return 0


def options_help() -> str:
    from gacsnn.config import options

    return "\n".join(f"  {name:<32} {help}" for name, help in options().items())


def complain(message: str, code: int) -> int:
    print(f"error: {message}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
