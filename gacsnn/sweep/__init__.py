"""Hydra's side of a sweep: `hydra/sweeper=study`, the Optuna sweeper made to share, resume, prune and try again.

It is hydra-optuna-sweeper with another loop: its options, search spaces and samplers are those of that plugin, but for TPE's
defaults. Trials are asked for one at a time by as many processes as there are (`claims.py` has the rules), and each runs
through Hydra's launcher as a complete run in `<hydra.sweep.dir>/<number of the trial>`.

The loop                                         The study
plugin      what Hydra calls                     storage     in Optuna's storage
options     `hydra.sweeper` and its checks       journal     its file, with cut lines and stale locks
                                                 leases      whose trial is whose, and who is dead
objectives  what can be searched for             claims      which trial is next
search      search space -> configs              succession  what a retry takes over of a run
points      its ends, and a grid's points        patient     a storage that may be away
samplers    samplers and pruners                 status      how far it is, and what is best
loop        points -> runs -> values             Workers
jobs        a claimed trial -> its command line  workers     several processes on one machine
trial       a job's side: which trial it is      array       those that a cluster starts
reporter    what a run tells its trial           slurm       what is said to SLURM, and heard of it
endings     how a job ended -> the study         memory      a GPU's, that was too small for a trial
conclude    the test split, and what was found

The command line                                 A plain grid
typed       flags and overrides, as typed        grid        Hydra's own sweeper, its jobs checked before the first
mistakes    Hydra's words for a mistake, ours    compose     a job's overrides -> its checked config

What a sweep may be beside a search (docs/sweeps.md)
question    a claim to be answered               rungs       trials that pause, and go on when they are good
plan        what it will take; planned: its file repeats     trials that are means over seeds
budget      what it may take                     confirm     the best ones, with fresh seeds; confirmed: what came of it
others      trials of other studies

This folder and launch.py are the only places that know Hydra.
"""
