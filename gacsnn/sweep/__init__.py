"""Hydra's side of a sweep: `hydra/sweeper=study`, the Optuna sweeper made to share, resume, prune and try again.

It is hydra-optuna-sweeper with another loop: its options, search spaces and samplers are those of that plugin. Trials are
asked for one at a time by as many processes as there are (`claims.py` has the rules), and each runs through Hydra's
launcher as a complete run in `<hydra.sweep.dir>/<number of the trial>`.

options   `hydra.sweeper` and its checks           storage   the study in Optuna's storage
plugin    what Hydra calls                          leases    whose trial is whose, and who is dead
search    search space -> points, samplers          claims    which trial is next
loop      points -> runs -> values                  trial     a job's side; reporter tells the study of its epochs
workers   several processes on one machine

This folder and launch.py are the only places that know Hydra.
"""
