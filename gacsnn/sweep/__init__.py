"""Hydra's side of a sweep: `hydra/sweeper=study`, the Optuna sweeper made to share, resume, prune and try again.

It is hydra-optuna-sweeper with another loop: its options, search spaces and samplers are those of that plugin, but for TPE's
defaults. Trials are asked for one at a time by as many processes as there are (`claims.py` has the rules), and each runs
through Hydra's launcher as a complete run in `<hydra.sweep.dir>/<number of the trial>`.

plugin      what Hydra calls                     storage   the study in Optuna's storage
options     `hydra.sweeper` and its checks       leases    whose trial is whose, and who is dead
objectives  what can be searched for             claims    which trial is next
search      search space -> configs, points      trial     a job's side: which trial it is, what it returns
samplers    samplers and pruners                 reporter  what a run tells its trial
loop        points -> runs -> values             jobs        a claimed trial -> the command line of its run
workers     several processes on one machine     conclude    the test split of the best, and what was found
endings     how a job ended -> the study         status    how far the study is
patient   a storage that may be away
succession  what a retry takes over of a run
question    what the sweep is to find out             points    ends of the space, and a grid's points
confirm     the best ones, with fresh seeds           confirmed   what came of that
array       workers that a cluster starts        slurm     what is said to SLURM, and heard of it

This folder and launch.py are the only places that know Hydra.
"""
