"""The one program: command line -> config -> run -> results. `python launch.py --help` shows the options."""

import signal

if __name__ == "__main__":
    # What comes before there are handlers (`handle_signals`) waits for them: it would end imports with a traceback.
    signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1))

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from gacsnn.sweep.typed import Typed

CONF = Path(__file__).resolve().parent / "conf"


# Choices of groups that stand in the saved run which the command line names, and that the user did not make.
inherited: list[str] = []


def job(composed: "DictConfig") -> Any:
    """One run, of one composed config. Returns what a sweep compares: top-1 on the validation split, in percent."""
    from gacsnn.runtime.signals import stop_if_requested

    try:
        return run_composed(composed)
    except Exception:
        stop_if_requested()  # an import that a signal cuts short may end with an error of its own
        raise


def run_composed(composed: "DictConfig") -> Any:
    from hydra.core.hydra_config import HydraConfig
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.types import RunMode
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    from gacsnn.config.messages import validate
    from gacsnn.errors import GacsnnError
    from gacsnn.run import run
    from gacsnn.runtime import console
    from gacsnn.sweep.mistakes import one_line
    from gacsnn.sweep.trial import check_job, check_plan, name_of, objective, reporter_of_job, trial_number
    from gacsnn.tasks.checks import AUTO

    hydra = HydraConfig.get()
    trial = trial_number(hydra)
    typed: Any = OmegaConf.to_container(hydra.overrides.task, resolve=False)
    parsed = OverridesParser.create().parse_overrides(typed)
    overridden = [override.key_or_group for override in parsed if override.input_line not in inherited]
    try:
        values: Any = OmegaConf.to_container(composed, resolve=True)
        if hydra.mode == RunMode.MULTIRUN and values["output_dir"] is None and values["resume"] in (None, AUTO):
            values["output_dir"] = hydra.runtime.output_dir
        config = validate(values)
        if hydra.mode == RunMode.MULTIRUN:
            check_job(config)
            check_plan(hydra, config)
            if trial is None:
                console.speak()
                console.log.info(f"\njob {hydra.job.num}: {hydra.job.override_dirname.replace(',', ' ') or 'as it is'}")
        on_epoch_end = None if trial is None else reporter_of_job(hydra, trial, config.epochs)
        quiet = trial is not None and not hydra.sweeper.verbose
        label = console.label if trial is None else f"{name_of(Path(hydra.sweep.dir), trial)}: "
        with console.labelled(label), console.hush(quiet):
            result = run(config, overridden, on_epoch_end)
            return result if config.plan else objective(hydra, result)
    except OmegaConfBaseException as error:
        if trial is not None:
            raise  # to the sweep, which records it and goes on
        sys.exit(complain(one_line(error), 2))
    except GacsnnError as error:
        if trial is not None:
            raise
        sys.exit(complain(str(error), error.exit_code))


def main() -> int:
    """Run the command line. Returns the exit code: 2 for a mistake of the user's, 130 after Ctrl-C."""
    # Imported here, because workers started by spawn import this file again.
    from gacsnn.runtime.cores import spin_briefly
    from gacsnn.runtime.signals import handle_signals, stop_if_requested

    spin_briefly()
    os.environ["HYDRA_FULL_ERROR"] = "1"  # exceptions come here, and not as a page on the terminal
    try:
        handle_signals()
        return command_line()
    except KeyboardInterrupt:
        return 130
    except Exception:
        stop_if_requested()  # an import that a signal cuts short may end with an error of its own
        raise


def program() -> int:
    """`main`; after it a signal ends what Python still has to do, and at the very last changes nothing."""
    import atexit

    from gacsnn.runtime.console import replace_unprintable
    from gacsnn.runtime.signals import end_at_once, ignore

    open_closed_streams()
    replace_unprintable()
    atexit.register(ignore)  # the first to be registered is called last
    try:
        return main()
    finally:
        end_at_once()


def open_closed_streams() -> None:
    """What is started with `>&-` writes into nothing: else the first file that is opened takes the stream's number."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            opened = os.open(os.devnull, os.O_RDWR)  # which takes the lowest number that is free
            setattr(sys, name, os.fdopen(opened, "w" if number else "r", closefd=False))


def command_line() -> int:
    from hydra.errors import HydraException
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    from gacsnn.config.help import options_help
    from gacsnn.errors import GacsnnError, InputError, file_errors
    from gacsnn.run import check_job, conclude_grid
    from gacsnn.runtime.files import check_working_folder
    from gacsnn.runtime.ranks import this_rank
    from gacsnn.sweep.compose import checked_values, plain_values
    from gacsnn.sweep.help import groups_help, sweep_help
    from gacsnn.sweep.mistakes import one_line
    from gacsnn.sweep.plugin import register
    from gacsnn.sweep.typed import keep_text, read

    register(check_job, conclude_grid)
    OmegaConf.register_resolver("gacsnn.options", lambda _root_: options_help(plain_values(_root_)), replace=True)
    OmegaConf.register_resolver("gacsnn.sweep", sweep_help, replace=True)
    OmegaConf.register_resolver("gacsnn.groups", groups_help, replace=True)
    try:
        with file_errors("this command"):
            check_working_folder()
            sys.argv[1:] = map(keep_text, sys.argv[1:])
            typed = read(sys.argv[1:])
            if typed.multirun and this_rank().size > 1:
                raise InputError(
                    "-m: a sweep is not started by torchrun or srun; python launch.py -m ... hardware=ddp hardware.processes=N "
                    "has each trial run on N processes"
                )
            inherit_choices(typed)
            shown = None if typed.flags.cfg is None else what_is_shown(typed)
            if code := by_hydra(typed):
                return code
            if shown is not None:
                checked_values(shown)
    except GacsnnError as error:
        return complain(str(error), error.exit_code)
    except (HydraException, OmegaConfBaseException, ValueError) as error:
        theirs = isinstance(error, HydraException | OmegaConfBaseException)
        if not theirs and "Config group override" not in str(error):
            raise
        return complain(one_line(error), 2)
    return 0


def by_hydra(typed: "Typed") -> int:
    """Have Hydra do what is asked for. What it only shows may find that nobody reads, which is no mistake, or a full disk."""
    import logging

    import hydra

    if typed.only_shows:
        logging.raiseExceptions = False  # --info writes by logging, which prints its tracebacks itself
    try:
        hydra.main(config_path=str(CONF), config_name="config")(job)()
        if typed.only_shows:
            sys.stdout.flush()
    except OSError as error:
        if not typed.only_shows:
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # for what Python writes when it ends
        return 0 if isinstance(error, BrokenPipeError) else complain(f"standard output: {error.strerror}", 1)
    return 0


def inherit_choices(typed: "Typed") -> None:
    """Let options of a saved run be named without naming its groups: `resume=RUN dataset.root=elsewhere`.

    Hydra composes before anything is read, and refuses an option that the default's group does not have.
    """
    from gacsnn.tasks.checks import saved_choices

    inherited.clear()
    if typed.multirun:
        return  # what is composed for a sweep is what is run
    given = {each.key_or_group: str(each.value()) for each in typed.overrides if not each.is_delete()}
    inherited[:] = [f"{group}={name}" for group, name in saved_choices(given).items()]
    sys.argv[1:1] = inherited


def what_is_shown(typed: "Typed") -> "DictConfig":
    """What `--cfg` shows a part of.

    Raises:
        InputError: when it has no such part.
    """
    from hydra import compose, initialize_config_dir
    from omegaconf import OmegaConf

    from gacsnn.errors import InputError

    package = typed.flags.package
    folders = (
        []
        if typed.flags.config_dir is None
        else [f"hydra.searchpath=['file://{Path(typed.flags.config_dir).resolve()}']"]
    )
    with initialize_config_dir(str(Path(typed.flags.config_path or CONF).resolve())):
        composed = compose("config", [*folders, *inherited, *typed.flags.overrides], return_hydra_config=True)
    if package not in (None, "_global_") and OmegaConf.select(composed, package) is None:
        raise InputError(f"--package={package}: there is none; such as dataset, optimizer or hydra.sweeper")
    return composed


def complain(message: str, code: int) -> int:
    """Of several processes on a machine, one says what all have found; what one alone has found, it says itself."""
    from gacsnn.errors import InputError
    from gacsnn.runtime.ranks import this_rank
    from gacsnn.runtime.signals import stop_if_requested

    stop_if_requested()  # then what went wrong may be what a library made of the signal
    try:
        another_says_it = this_rank().local_index > 0
    except InputError:
        another_says_it = False  # which it is, is what is wrong
    if not another_says_it:
        print(f"error: {message}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(program())
