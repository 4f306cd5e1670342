"""The faults that tests/mutants.py puts into a copy of the program: what a tired hand might write, and all of it runs."""

from typing import NamedTuple


class Fault(NamedTuple):
    """`old` stands in `file` exactly once and becomes `new`; one of `tests` fails by it. `hangs`: or does not end."""

    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]
    hangs: bool = False


CONFIG, DATA, TRAINING, TASKS = (f"tests/unit/{name}" for name in ("config", "data", "training", "tasks"))
SWEEP, REPORT, RUNTIME = (f"tests/unit/{name}" for name in ("sweep", "report", "runtime"))

ARITHMETIC = (
    Fault(
        "a neuron fires at its threshold",
        "gacsnn/neuron.py",
        "return (h > threshold).to(current.dtype)",
        "return (h >= threshold).to(current.dtype)",
        ("tests/unit/test_neuron.py",),
    ),
    Fault(
        "a gradient passes through a reset",
        "gacsnn/neuron.py",
        "gh[t].add_(gv.masked_fill_(spikes[t], 0))",
        "gh[t].add_(gv)",
        ("tests/unit/test_neuron.py",),
    ),
    Fault(
        "the rectangle is twice as wide",
        "gacsnn/neuron.py",
        "(v_minus_threshold.abs() < width / 2)",
        "(v_minus_threshold.abs() < width)",
        ("tests/unit/test_neuron.py",),
    ),
    Fault(
        "a sigmoid for each factor of the gate",
        "gacsnn/encoders.py",
        "torch.sigmoid(temporal[:, :, None, None, None] * spatial) * spikes",
        "torch.sigmoid(temporal)[:, :, None, None, None] * torch.sigmoid(spatial) * spikes",
        ("tests/unit/test_encoders.py",),
    ),
    Fault(
        "the brighter the later",
        "gacsnn/encoders.py",
        "step = (T - 1) * (1 - x)",
        "step = (T - 1) * x",
        ("tests/unit/test_encoders.py",),
    ),
    Fault(
        "running variance not that of T batches",
        "gacsnn/batchnorm.py",
        "correction = (repeated / (repeated - 1)) / (once / (once - 1))",
        "correction = repeated / (repeated - 1)",
        ("tests/unit/test_encoders.py",),
    ),
    Fault(
        "operations at a sum of rates",
        "gacsnn/energy.py",
        "operations = macs * sum(rates) / model.T",
        "operations = macs * sum(rates)",
        ("tests/unit/test_energy.py",),
    ),
    Fault(
        "dropout without its factor",
        "gacsnn/models.py",
        "return features * (kept.to(features.dtype) / (1 - self.p))[:, None]",
        "return features * kept.to(features.dtype)[:, None]",
        ("tests/unit/test_models.py",),
    ),
    Fault(
        "the small resnet104 without pooled shortcuts",
        "gacsnn/networks.py",
        '(512, 8, 2)), stem="conv3", pooled_shortcut=True, dropout=0.2',
        '(512, 8, 2)), stem="conv3", dropout=0.2',
        ("tests/unit/test_models.py",),
    ),
    Fault(
        "the small resnet104 without dropout",
        "gacsnn/networks.py",
        '(512, 8, 2)), stem="conv3", pooled_shortcut=True, dropout=0.2',
        '(512, 8, 2)), stem="conv3", pooled_shortcut=True',
        ("tests/unit/test_models.py",),
    ),
)

STEP = (
    Fault(
        "lam of the mixed loss swapped",
        "gacsnn/training/trainer.py",
        "loss = mixed.lam * loss + (1 - mixed.lam) * self.loss(logits, mixed.partners)",
        "loss = (1 - mixed.lam) * loss + mixed.lam * self.loss(logits, mixed.partners)",
        (f"{TRAINING}/test_trainer.py",),
    ),
    Fault(
        "the partners' labels unused",
        "gacsnn/training/trainer.py",
        "(1 - mixed.lam) * self.loss(logits, mixed.partners)",
        "(1 - mixed.lam) * self.loss(logits, mixed.labels)",
        (f"{TRAINING}/test_trainer.py",),
    ),
    Fault(
        "the network sees unmixed images",
        "gacsnn/training/trainer.py",
        "logits_of(self, mixed.images, keys)",
        "logits_of(self, self.normalise(images), keys)",
        (f"{TRAINING}/test_trainer.py",),
    ),
    Fault(
        "partners' labels in another order",
        "gacsnn/training/trainer.py",
        "return mix(normalised, labels, normalised[partner], labels[partner], self.drawn)",
        "return mix(normalised, labels, normalised[partner], labels, self.drawn)",
        (f"{TRAINING}/test_trainer.py",),
    ),
    Fault(
        "CutMix's fraction as drawn, box cut off or not",
        "gacsnn/data/mixing.py",
        "lam = 1 - (x2 - x1) * (y2 - y1) / (width * height)",
        "lam = drawn.lam",
        (f"{DATA}/test_mixing.py",),
    ),
    Fault(
        "mix-up the other way",
        "gacsnn/data/mixing.py",
        "images.lerp(others, 1 - drawn.lam)",
        "images.lerp(others, drawn.lam)",
        (f"{DATA}/test_mixing.py",),
    ),
    Fault(
        "every epoch in the order of the first",
        "gacsnn/training/loop.py",
        "begin_epoch(loader, state.epoch, state.batch)",
        "begin_epoch(loader, 0, state.batch)",
        (f"{TASKS}/test_train.py",),
    ),
    Fault(
        "augmentation the same in every epoch",
        "gacsnn/data/loader.py",
        "seeds = torch.randint(2**62, (self.length,), generator=generator)",
        "seeds = (torch.arange(self.length) + self.seed)[indices]",
        (f"{TASKS}/test_train.py",),
    ),
    Fault(
        "the run's seed not that of its order",
        "gacsnn/tasks/experiment.py",
        "seed=self.config.seed,",
        "seed=0,",
        (f"{TASKS}/test_experiment.py",),
    ),
    Fault(
        "all seeds begin with the same weights",
        "gacsnn/tasks/experiment.py",
        "torch.manual_seed(config.seed)",
        "torch.manual_seed(0)",
        (f"{TASKS}/test_experiment.py",),
    ),
    Fault(
        "a step an epoch too many",
        "gacsnn/training/optim.py",
        'per_epoch = steps_per_epoch if options.interval == "step" else 1',
        "per_epoch = steps_per_epoch",
        (f"{TRAINING}/test_optim.py",),
    ),
)

RESUME = (
    Fault(
        "fp16's loss scale begins anew",
        "gacsnn/training/trainer.py",
        'if content["scaler"] and self.scaler.is_enabled():',
        'if content["scaler"] and not self.scaler.is_enabled():',
        (f"{TRAINING}/test_trainer.py",),
    ),
    Fault(
        "the optimizer's moments begin anew",
        "gacsnn/training/trainer.py",
        'load_optimizer(self.optimizer, content["optimizer"])',
        "self.optimizer.state_dict()",
        (f"{TRAINING}/test_trainer.py",),
    ),
    Fault(
        "the rate of a longer schedule is the old one's",
        "gacsnn/training/trainer.py",
        'group["lr"] = base * lr_factor(scheduler.last_epoch)',
        'group["lr"] = group["lr"]',
        ("tests/cli/test_resume.py::test_more_epochs_go_on_at_the_rate_of_the_longer_schedule",),
    ),
    Fault(
        "another learning rate is taken silently",
        "gacsnn/config/merge.py",
        '*("hardware", "dataset.root", "task.test"),',
        '*("hardware", "dataset.root", "task.test", "optimizer.lr"),',
        ("tests/cli/test_resume.py::test_resuming_with_what_may_not_change",),
    ),
    Fault(
        "only the architecture has to stay",
        "gacsnn/tasks/checks.py",
        "kept = set(to_dict(saved)) - set(CHANGEABLE)",
        "kept = set(ARCHITECTURE)",
        ("tests/cli/test_resume.py::test_resuming_with_what_may_not_change",),
    ),
    Fault(
        "an epoch's lines are kept that no checkpoint holds",
        "gacsnn/runtime/run_dir.py",
        'metrics["epoch"] <= epoch)',
        'metrics["epoch"] <= epoch + 1)',
        ("tests/cli/test_exact_resume.py::test_a_newest_checkpoint_that_is_damaged_is_passed_over",),
    ),
    Fault(
        "a bit that flipped in a checkpoint goes unnoticed",
        "gacsnn/training/checkpoint.py",
        "if file.read() != SEAL + digest.hexdigest().encode():",
        "if not file.read().startswith(SEAL):",
        (f"{TRAINING}/test_saving.py",),
    ),
)

METRICS = (
    Fault(
        "a mean of batches' means",
        "gacsnn/training/metrics.py",
        "loss = sum_of(value for there in everywhere for value in there.tolist()) / count",
        "loss = math.fsum(each.mean().item() for each in losses) / len(losses)",
        (f"{TRAINING}/test_metrics.py",),
    ),
    Fault(
        "the training loss a sum over whole batches",
        "gacsnn/training/loop.py",
        "state.epoch_loss += loss * steps[index].images",
        "state.epoch_loss += loss * steps[0].images",
        (f"{TRAINING}/test_metrics.py",),
    ),
    Fault(
        "rows and columns of the confusion matrix swapped",
        "gacsnn/training/metrics.py",
        "pairs.append(torch.stack([labels, best[:, 0]], dim=1))",
        "pairs.append(torch.stack([best[:, 0], labels], dim=1))",
        (f"{TRAINING}/test_metrics.py",),
    ),
    Fault(
        "a greater loss breaks a tie",
        "gacsnn/training/loop.py",
        "(top1, -loss) > (state.best_top1, -state.best_loss)",
        "(top1, loss) > (state.best_top1, state.best_loss)",
        (f"{TASKS}/test_train.py",),
    ),
    Fault(
        "the last weights are measured",
        "gacsnn/tasks/train.py",
        "run_dir.best if run_dir.best.exists() else run_dir.last",
        "run_dir.last if run_dir.last.exists() else run_dir.best",
        (f"{TASKS}/test_train.py",),
    ),
    Fault(
        "every epoch counts as the best",
        "gacsnn/training/loop.py",
        "better = is_better(score.top1, score.loss, state)",
        "better = bool(is_better(score.top1, score.loss, state) or state.step)",
        (f"{TASKS}/test_train.py",),
    ),
    Fault(
        "a last epoch credited with the best one's score",
        "gacsnn/tasks/evaluate.py",
        'then.get("selected_by") == "validation" and state["epoch"] == state["best_epoch"]',
        'then.get("selected_by") == "validation"',
        ("tests/cli/test_evaluate.py::test_a_last_epoch_is_not_credited_with_the_score_of_the_best_one",),
    ),
)

SPLITS = (
    Fault(
        "the test split is read by every trial",
        "gacsnn/tasks/train.py",
        'split = "test" if task.test else "validation"',
        'split = "test"',
        (f"{TASKS}/test_train.py",),
    ),
    Fault(
        "trials of a search test as runs do",
        "gacsnn/sweep/search.py",
        'test = [] if options.test == "all" else ["task.test=false"]',
        'test = [] if options.test != "none" else ["task.test=false"]',
        ("tests/cli/test_sweep.py::test_a_search_keeps_its_trials_and_reads_the_test_split_of_the_best_only",),
    ),
    Fault(
        "the train split is measured with augmentation",
        "gacsnn/data/splits.py",
        "return images and Images(images.source, images.labels, self.test.transform)",
        "return images",
        (f"{DATA}/test_splits.py",),
    ),
    Fault(
        "mean and deviation of the held-out images, too",
        "gacsnn/data/splits.py",
        "measured = measure(training.subset(kept, plain))",
        "measured = measure(Images(training.source, training.labels, plain))",
        (f"{DATA}/test_splits.py",),
    ),
    Fault(
        "held out without regard to classes",
        "gacsnn/data/splits.py",
        "test_size=fraction, stratify=labels.numpy(), random_state=seed",
        "test_size=fraction, random_state=seed",
        (f"{DATA}/test_splits.py",),
    ),
)

HASH = (
    Fault(
        "augmentation names no run",
        "gacsnn/config/merge.py",
        '"energy": True, "study": True,',
        '"energy": True, "augmentation": True, "study": True,',
        (f"{CONFIG}/test_merge.py",),
    ),
    Fault(
        "the seed of the split names no run",
        "gacsnn/config/merge.py",
        '"dataset": {"root", "download", "check_images"}',
        '"dataset": {"root", "download", "check_images", "split_seed"}',
        (f"{CONFIG}/test_merge.py",),
    ),
    Fault(
        "threads name a run",
        "gacsnn/config/merge.py",
        '"hardware": {"device", "threads", "workers"',
        '"hardware": {"device", "workers"',
        (f"{CONFIG}/test_merge.py",),
    ),
)

SWEEPS = (
    Fault(
        "a lease is not renewed",
        "gacsnn/sweep/leases.py",
        '                with impatient():\n                    storage.set_trial_user_attr(trial_id, "lease", time.time())',
        "                with impatient():\n                    storage.get_trial(trial_id)",
        (f"{SWEEP}/test_leases.py",),
    ),
    Fault(
        "a lease that moves is not seen to",
        "gacsnn/sweep/leases.py",
        "if seen is None or seen.value != value:",
        "if seen is None:",
        (f"{SWEEP}/test_leases.py",),
    ),
    Fault(
        "a process of the same number is the owner",
        "gacsnn/sweep/leases.py",
        'gone = process_start(held["pid"]) != held["start"]',
        'gone = process_start(held["pid"]) is None',
        (f"{SWEEP}/test_leases.py",),
    ),
    Fault(
        "the user's interruptions are retries",
        "gacsnn/sweep/claims.py",
        "fair = is_suspended(trial) or OVER_BUDGET in trial.user_attrs or got_on(trials, trial)",
        "fair = OVER_BUDGET in trial.user_attrs or got_on(trials, trial)",
        (f"{SWEEP}/test_claims.py",),
    ),
    Fault(
        "a retry too few",
        "gacsnn/sweep/claims.py",
        "if tries <= 1 + max_retries:",
        "if tries <= max_retries:",
        (f"{SWEEP}/test_claims.py",),
    ),
    Fault(
        "two take up the same trial",
        "gacsnn/sweep/claims.py",
        "any(rival.number < trial.number and EXCESS not in rival.user_attrs for rival in rivals)",
        "any(rival.number < trial.number and EXCESS in rival.user_attrs for rival in rivals)",
        (f"{SWEEP}/test_rungs.py::test_two_that_promote_at_once_make_one_trial_of_it",),
    ),
    Fault(
        "the worst of a rung go on",
        "gacsnn/sweep/rungs.py",
        "sign = -1 if study.direction == StudyDirection.MAXIMIZE else 1",
        "sign = 1 if study.direction == StudyDirection.MAXIMIZE else -1",
        (f"{SWEEP}/test_rungs.py",),
    ),
    Fault(
        "the pruner is not asked",
        "gacsnn/sweep/reporter.py",
        "if is_pruned(self.study, self.trial_id) and not again:",
        "if is_pruned(self.study, self.trial_id) and again:",
        (f"{SWEEP}/test_rungs.py::test_nothing_is_stopped_after_its_last_epoch",),
    ),
    Fault(
        "a worker's failure is swallowed",
        "gacsnn/sweep/workers.py",
        "code = code or status",
        "code = 0",
        (f"{SWEEP}/test_workers.py",),
    ),
    Fault(
        "a killed worker is not replaced",
        "gacsnn/sweep/workers.py",
        "if status < 0 and replaced < 10 * count:",
        "if status < -signal.NSIG and replaced < 10 * count:",
        (f"{SWEEP}/test_workers.py",),
    ),
    Fault(
        "all workers on the first GPU",
        "gacsnn/sweep/workers.py",
        "gpus[(index * processes + each) % len(gpus)]",
        "gpus[each % len(gpus)]",
        (f"{SWEEP}/test_workers.py",),
    ),
    Fault(
        "workers are not told their GPUs",
        "gacsnn/sweep/workers.py",
        'environment["CUDA_VISIBLE_DEVICES"] = ",".join(gpus)',
        'environment["CUDA_VISIBLE_DEVICES"] = ",".join(visible_gpus())',
        (f"{SWEEP}/test_workers.py",),
    ),
    Fault(
        "the ends of a search are not probed",
        "gacsnn/sweep/search.py",
        "points += [{**base, name: value} for value in endpoints(distribution)[1:]]",
        "points += [base for value in endpoints(distribution)[1:]]",
        ("tests/cli/test_sweep.py::test_every_saved_search_is_checked_at_all_its_ends[t_lr]",),
    ),
    Fault(
        "a trial that was given up ends well",
        "gacsnn/sweep/conclude.py",
        "if part is not None and (lost := given_up(part.study)):",
        "if part is not None and (lost := []):",
        ("tests/cli/test_sweep.py::test_a_trial_that_is_given_up_shows_in_the_exit_code",),
    ),
    Fault(
        "a trial's number is another's folder",
        "gacsnn/sweep/jobs.py",
        "folder, overrides = sweep.folder / str(trial.number), overrides_of(sweep, trial)",
        'folder, overrides = sweep.folder / "0", overrides_of(sweep, trial)',
        ("tests/cli/test_sweep.py::test_a_sweep_with_resume_auto_keeps_its_trials_in_its_folder",),
    ),
)

REPORTS = (
    Fault(
        "all but the best have stars",
        "gacsnn/report/study.py",
        "one.trial.number in leading)",
        "one.trial.number not in leading)",
        (f"{REPORT}/test_study.py",),
    ),
    Fault(
        "the smallest is the best",
        "gacsnn/sweep/status.py",
        "sign = -1 if study.direction == StudyDirection.MAXIMIZE else 1",
        "sign = 1",
        (f"{SWEEP}/test_status.py", f"{REPORT}/test_study.py"),
    ),
    Fault(
        "importance of a logarithmic option on a linear scale",
        "gacsnn/report/importance.py",
        "return math.log(value) if logarithmic else value",
        "return math.log(1 + value) if logarithmic else value",
        (f"{REPORT}/test_importance.py",),
    ),
    Fault(
        "importance by six trials for a parameter, and of few in all",
        "gacsnn/report/importance.py",
        "needed = max(LEAST, LEAST_EACH * len(space))",
        "needed = LEAST_EACH * len(space)",
        (f"{REPORT}/test_importance.py",),
    ),
    Fault(
        "the deviation of all there are",
        "gacsnn/report/rows.py",
        "statistics.stdev(values) if len(values) > 1",
        "statistics.pstdev(values) if len(values) > 1",
        (f"{REPORT}/test_paper.py",),
    ),
    Fault(
        "other settings in one mean",
        "gacsnn/report/rows.py",
        'del settings["seed"]',
        'del settings["seed"], settings["epochs"]',
        (f"{REPORT}/test_paper.py",),
    ),
    Fault(
        "a mean over few seeds may be the best",
        "gacsnn/sweep/status.py",
        "(group for group in groups if len(group) == seeds)",
        "(group for group in groups if len(group) <= seeds)",
        (f"{SWEEP}/test_status.py",),
    ),
)

PROGRAM = (
    Fault(
        "a user's mistake is the machine's",
        "gacsnn/errors.py",
        "    exit_code = 2\n",
        "    exit_code = 1\n",
        ("tests/cli/test_resume.py::test_resume_writes_nothing_where_there_is_no_run",),
    ),
    Fault(
        "a cluster's warning is a plain end",
        "gacsnn/runtime/signals.py",
        "return REQUEUE if number == signal.SIGUSR1 else 128 + number",
        "return 128 + number",
        (f"{RUNTIME}/test_signals.py",),
    ),
    Fault(
        "the second signal only asks, too",
        "gacsnn/runtime/signals.py",
        "if _requests.patient and (first or number == signal.SIGUSR1):",
        "if _requests.patient:",
        (f"{RUNTIME}/test_signals.py",),
    ),
    Fault(
        "a signal after the last look is lost",
        "gacsnn/runtime/signals.py",
        "        _requests.patient = False\n    stop_if_requested()  # one that came after the last look\n",
        "        _requests.patient = False\n",
        (f"{RUNTIME}/test_signals.py",),
    ),
    Fault(
        "a file is written in its place",
        "gacsnn/runtime/files.py",
        'return path.with_name(f".{path.name}.{os.getpid()}.tmp")',
        "return path",
        (f"{RUNTIME}/test_files.py",),
    ),
    Fault(
        "a torn file takes the place of a whole one",
        "gacsnn/runtime/files.py",
        '            with temporary.open("wb") as file:\n                write(file)',
        '            with temporary.open("wb") as file, suppress(OSError):\n                write(file)',
        (f"{RUNTIME}/test_files.py",),
    ),
    Fault(
        "Ctrl-C tears a file",
        "gacsnn/runtime/signals.py",
        "before = {number: signal.signal(number, put_off) for number in STOPPING}",
        "before = {number: signal.signal(number, put_off) for number in STOPPING[1:]}",
        (f"{RUNTIME}/test_files.py",),
    ),
)

ANSWERS = (
    Fault(
        "a claim is refuted as easily as supported",
        "gacsnn/statistics.py",
        'return "refuted" if p_below < ALPHA / 2 else "undecided"',
        'return "refuted" if p_below < ALPHA else "undecided"',
        ("tests/unit/test_statistics.py",),
    ),
    Fault(
        "several claims as if each were alone",
        "gacsnn/statistics.py",
        "so_far = max(so_far, min(1.0, (len(ps) - place) * ps[index]))",
        "so_far = max(so_far, min(1.0, ps[index]))",
        ("tests/unit/test_statistics.py",),
    ),
    Fault(
        "a trial of several seeds is its luckiest",
        "gacsnn/sweep/repeats.py",
        "mean = [statistics.fmean(column) for column in zip(*so_far, strict=True)]",
        "mean = [max(column) for column in zip(*so_far, strict=True)]",
        (f"{SWEEP}/test_repeats.py",),
    ),
    Fault(
        "what is confirmed is ranked by luck",
        "gacsnn/sweep/confirmed.py",
        "key=lambda one: (sign * one.mean, one.candidate.number)",
        "key=lambda one: (sign * max(one.scores), one.candidate.number)",
        (f"{SWEEP}/test_confirm.py",),
    ),
    Fault(
        "a trial that died costs until somebody looked",
        "gacsnn/sweep/budget.py",
        "return heard if trial.user_attrs.get(ENDING) == KILLED else took",
        "return took",
        (f"{SWEEP}/test_budget.py",),
    ),
    Fault(
        "the directory of an owner who may live is taken away",
        "gacsnn/sweep/succession.py",
        "if MAY_LIVE not in source.user_attrs:",
        "if source.user_attrs is not None:",
        (f"{SWEEP}/test_succession.py",),
    ),
    Fault(
        "too little memory is tried as it was again",
        "gacsnn/sweep/memory.py",
        "return order[order.index(attributes.get(REMEDY)) + 1]",
        "return attributes.get(REMEDY, order[1])",
        (f"{SWEEP}/test_memory.py",),
        hangs=True,
    ),
    Fault(
        "a checkpoint within an epoch passes for its end",
        "gacsnn/training/saving.py",
        'if found["epoch"] == epoch and not found.get("batch", 0):',
        'if found["epoch"] == epoch:',
        (f"{TRAINING}/test_saving.py",),
    ),
    Fault(
        "the interval of a difference the other way",
        "gacsnn/statistics.py",
        "found = stats.ttest_ind(here, there, equal_var=False)",
        "found = stats.ttest_ind(there, here, equal_var=False)",
        ("tests/unit/test_statistics.py", f"{REPORT}/test_diff.py"),
    ),
)

QUIET = (
    Fault(
        "the best so far is the greatest, whatever the direction",
        "gacsnn/report/charts.py",
        "better = max if higher else min\n    best: list",
        "better = max\n    best: list",
        (f"{REPORT}/test_charts.py::test_history_of_an_objective_to_minimise_shows_the_smallest_so_far",),
    ),
    Fault(
        "trials taken from another study use up the budget",
        "gacsnn/sweep/budget.py",
        "for trial in sweep.study.get_trials(deepcopy=False) if TAKEN_FROM not in trial.user_attrs]",
        "for trial in sweep.study.get_trials(deepcopy=False)]",
        (f"{SWEEP}/test_budget.py::test_budget_with_trials_from_another_study_counts_own_trials_alone",),
    ),
    Fault(
        "a reused trial shortens the expected time",
        "gacsnn/sweep/budget.py",
        'if other.state in DONE and "reused" not in other.user_attrs]',
        "if other.state in DONE]",
        (f"{SWEEP}/test_budget.py::test_expected_seconds_with_a_reused_trial_are_those_of_the_others",),
    ),
    Fault(
        "the saved search space wins over the command line",
        "gacsnn/sweep/compose.py",
        "for each in parsed}",
        "for each in reversed(parsed)}",
        (f"{SWEEP}/test_search.py::test_merged_overrides_of_one_option_take_the_command_line",),
    ),
    Fault(
        "16 bits are clipped to 8",
        "gacsnn/data/images.py",
        "levels = pixels >> (bits - 8)",
        "levels = pixels.clip(0, 255)",
        (f"{DATA}/test_decode.py",),
    ),
    Fault(
        "hidden entries are images",
        "gacsnn/runtime/datasets.py",
        'if not entry.name.startswith(".") and entry.name != "__MACOSX":',
        'if entry.name != "__MACOSX":',
        (f"{RUNTIME}/test_datasets.py",),
    ),
    Fault(
        "a link back to a folder above is followed",
        "gacsnn/runtime/datasets.py",
        "above = {*class_folder.absolute().parents, *class_folder.resolve().parents}",
        "above = set()",
        (f"{RUNTIME}/test_datasets.py",),
        hangs=True,
    ),
    Fault(
        "a pruner sees a retry as a trial of its own",
        "gacsnn/sweep/pruning.py",
        "found = chains(self.inner.get_all_trials(study_id, deepcopy=deepcopy))",
        "found = [[one] for one in self.inner.get_all_trials(study_id, deepcopy=deepcopy)]",
        (f"{SWEEP}/test_pruning.py",),
    ),
    Fault(
        "a cut line stays in the journal",
        "gacsnn/sweep/journal.py",
        "        os.ftruncate(number, begin)\n        log.warning(",
        "        log.warning(",
        (f"{SWEEP}/test_journal.py",),
    ),
    Fault(
        "weights that are not finite are loaded",
        "gacsnn/weights.py",
        "if value.is_floating_point() and not value.double().isfinite().all():",
        "if value.is_floating_point() and value.double().isnan().all():",
        ("tests/unit/test_weights.py",),
    ),
    Fault(
        "a renamed image goes unnoticed",
        "gacsnn/data/digest.py",
        "path.removeprefix(folder)",
        "Path(path).suffix",
        (f"{DATA}/test_digest.py",),
    ),
    Fault(
        "a damaged library of kernels is loaded",
        "gacsnn/kernels/build.py",
        "return content[-length:] == seal(content[:-length], key)",
        "return len(content) > length",
        ("tests/unit/kernels/test_build.py",),
    ),
    Fault(
        "a fault of the machine makes no pause",
        "gacsnn/sweep/faults.py",
        "self.error = error if isinstance(error, UnavailableError) else None",
        "self.error = None",
        (f"{SWEEP}/test_faults.py",),
    ),
    Fault(
        "a confirmation repeats the seeds of the search's repeats",
        "gacsnn/sweep/confirm.py",
        "candidates[0].params)).seed + sweep.options.repeats",
        "candidates[0].params)).seed + 1",
        (f"{SWEEP}/test_confirm.py::test_confirmation_of_a_search_with_repeats_begins_after_the_seeds_of_the_repeats",),
    ),
    Fault(
        "tasks of another job array are taken for ours",
        "gacsnn/sweep/slurm.py",
        "if row[3] == str(file)]",
        "if row[3]]",
        (f"{SWEEP}/test_slurm.py::test_tasks_of_another_script_are_left_out",),
    ),
    Fault(
        "a controller of SLURM that does not answer is the user's mistake",
        "gacsnn/sweep/slurm.py",
        'if "contact" in said or "timed out" in said:',
        'if "timed out" in said:',
        (f"{SWEEP}/test_slurm.py::test_refusal_of_sbatch_is_the_users_and_silence_is_the_machines",),
    ),
    Fault(
        "the faithful preset is not told apart in the table",
        "gacsnn/report/paper.py",
        'by = getattr(task, "selected_by", "validation")',
        'by = "validation"',
        (
            "tests/unit/report/test_paper.py::test_run_of_the_faithful_preset_is_a_row_whose_epoch_was_picked_by_the_test_split",
        ),
    ),
    Fault(
        "the largest of each choice is the best of a loss",
        "gacsnn/report/charts.py",
        "    better = max if higher else min\n    best: dict",
        "    better = max\n    best: dict",
        (f"{REPORT}/test_charts.py::test_best_of_each_choice_of_an_objective_to_minimise_is_the_smallest",),
    ),
    Fault(
        "the largest curve is the best of a loss",
        "gacsnn/report/charts.py",
        "best = (max if higher else min)(complete, key=score_of)",
        "best = max(complete, key=score_of)",
        (f"{REPORT}/test_charts.py::test_curves_of_an_objective_to_minimise_mark_the_smallest",),
    ),
    Fault(
        "the front goes up whatever its directions",
        "gacsnn/report/charts.py",
        "directions = (not higher[1], higher[0]) if",
        "directions = (not higher[1], True) if",
        (f"{REPORT}/test_charts.py::test_front_of_two_objectives_to_minimise_goes_down",),
    ),
    Fault(
        "batch statistics of a process are never its own",
        "gacsnn/training/smallest_batch.py",
        "own = batch if config.hardware.sync_batchnorm else min(shares_of(batch, processes))",
        "own = batch",
        (f"{TRAINING}/test_smallest_batch.py::test_processes_are_counted_as_their_batch_statistics_are",),
    ),
)

FAULTS = (*ARITHMETIC, *STEP, *RESUME, *METRICS, *SPLITS, *HASH, *SWEEPS, *REPORTS, *ANSWERS, *PROGRAM, *QUIET)
