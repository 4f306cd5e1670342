"""What is around the program: variables, where its output goes, the folder it is in."""

from battery.driver import Case
from battery.images import kind, put
from battery.made import RUN

NEW = (*RUN, "output_dir=new")
HELP = ("--help",)
WRONG = ("T=0",)


def ranks(**values: str) -> dict[str, str | None]:
    """What a launcher says to a process."""
    return (
        dict.fromkeys(("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")) | values
    )


# Variables that are nonsense and change nothing.
NONSENSE: tuple[tuple[str, str | None], ...] = (
    *(("GACSNN_TRIAL", value) for value in ("abc", "3")),
    *(("TERM", value) for value in ("dumb", None)),
    *(("COLUMNS", value) for value in ("1", "abc")),
    *(("HOME", value) for value in ("/nowhere", None)),
    ("LINES", "0"),
    ("NO_COLOR", "1"),
    ("LANG", "C"),
    ("LC_ALL", "POSIX"),
    ("PYTHONIOENCODING", "ascii"),
    ("PYTHONHASHSEED", "random"),
    ("PYTHONWARNINGS", "default"),
    ("OMP_NUM_THREADS", "abc"),
    ("CUDA_VISIBLE_DEVICES", "abc"),
    ("TZ", "Nowhere/Nowhere"),
    ("USER", None),
    ("SLURM_JOB_ID", "abc"),
    ("HYDRA_FULL_ERROR", "0"),
    ("MPLBACKEND", "nope"),
    ("SOURCE_DATE_EPOCH", "0"),
)

CASES = [
    *(
        Case(NEW, "results in", code=0, environment={name: value})
        for name, value in NONSENSE
    ),
    Case(NEW, "results in", code=0, environment={"TMPDIR": "/nowhere"}),
    # Ranks of which half is said
    *(
        Case(NEW, said, environment=ranks(**values))
        for said, values in (
            ("RANK", {"WORLD_SIZE": "2"}),
            ("WORLD_SIZE", {"RANK": "0"}),
            ("WORLD_SIZE", {"RANK": "0", "WORLD_SIZE": "abc"}),
            ("RANK", {"RANK": "5", "WORLD_SIZE": "2"}),
            ("RANK", {"RANK": "-1", "WORLD_SIZE": "2"}),
            ("RANK", {"RANK": "", "WORLD_SIZE": "2", "LOCAL_RANK": "0"}),
            ("WORLD_SIZE", {"RANK": "0", "WORLD_SIZE": "0", "LOCAL_RANK": "0"}),
            ("MASTER", {"RANK": "0", "WORLD_SIZE": "2", "LOCAL_RANK": "0"}),
            ("MASTER_PORT", {"RANK": "0", "WORLD_SIZE": "2", "LOCAL_RANK": "0", "MASTER_ADDR": "::1", "MASTER_PORT": "abc"}),
        )
    ),
    # Data somewhere else
    Case(("dataset=cifar10",), "/nowhere", environment={"GACSNN_DATA": "/nowhere"}),
    Case(("dataset=cifar10",), "cifar10", environment={"GACSNN_DATA": ""}),
    Case(("dataset=imagenet",), "images", environment={"GACSNN_DATA": "images"}),
    Case(("dataset=imagenet",), "a-file", environment={"GACSNN_DATA": "a-file"}, prepare=kind("a file", "a-file")),
    # Where the output goes
    Case(HELP, "", code=0, shell="| head -1"),
    Case(HELP, "", code=0, shell=">&-"),
    *(Case(shown, "No space left", code=1, shell="> /dev/full") for shown in (HELP, ("--cfg", "job"))),
    Case(NEW, "", code=0, shell="| head -1"),
    Case(NEW, "", code=0, shell=">&-"),
    Case(NEW, "", code=0, shell="> /dev/full"),
    Case(NEW, "", code=0, shell="2>&-"),
    Case(NEW, "", code=0, shell=">&- 2>&-"),
    Case(NEW, "results in", code=0, shell="<&-"),
    Case(("task=diff", "runs=[run,other]"), "", code=0, shell="| head -1"),
    Case(("task=table", "runs=run", "output_dir=new"), "", code=0, shell="| head -1"),
    Case(("--cfg", "job"), "", code=0, shell="| head -1"),
    *(Case(shown, "", code=0, shell="| true") for shown in (HELP, ("--cfg", "job"), ("--info", "all"), ("--hydra-help",))),
    Case(WRONG, "T=0", shell=">&-"),
    Case(WRONG, "T=0", shell="> /dev/full"),
    # Where it is
    Case(NEW, "folder", before="mkdir gone; cd gone; rmdir ../gone"),
    Case(HELP, "folder", before="mkdir gone; cd gone; rmdir ../gone"),
    Case(("output_dir=new",), "new", before="cd /proc"),
    Case((*RUN,), "outputs", before="cd /proc"),
    Case(("-m", "T=1,2"), "multirun", before="cd /proc"),
    Case(NEW, "results in", code=0, before="mkdir '-m T=3'; cd '-m T=3'"),
    Case(NEW, "results in", code=0, before="umask 077"),
    Case(NEW, "results in", code=0, prepare=put(b"[[nonsense", "setup.cfg")),
    Case(NEW, "results in", code=0, prepare=put(b"raise SystemExit('theirs was imported')", "yaml.py"), before=":"),
    Case(NEW, "results in", code=0, prepare=put(b"raise SystemExit('theirs was imported')", "gacsnn/__init__.py"), before=":"),
    Case(NEW, "results in", code=0, prepare=put(b"T: 7", "conf/config.yaml"), before=":"),
    # Little room
    Case(NEW, "", code=1, before="ulimit -f 20"),
]  # fmt: skip
