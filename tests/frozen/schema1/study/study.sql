BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('v3.2.0.a');
CREATE TABLE studies (
	study_id INTEGER NOT NULL, 
	study_name VARCHAR(512) NOT NULL, 
	PRIMARY KEY (study_id)
);
INSERT INTO "studies" VALUES(1,'t_lr-synthetic-resnet8');
CREATE TABLE study_directions (
	study_direction_id INTEGER NOT NULL, 
	direction VARCHAR(8) NOT NULL, 
	study_id INTEGER NOT NULL, 
	objective INTEGER NOT NULL, 
	PRIMARY KEY (study_direction_id), 
	UNIQUE (study_id, objective), 
	FOREIGN KEY(study_id) REFERENCES studies (study_id)
);
INSERT INTO "study_directions" VALUES(1,'MAXIMIZE',1,0);
CREATE TABLE study_system_attributes (
	study_system_attribute_id INTEGER NOT NULL, 
	study_id INTEGER, 
	"key" VARCHAR(512), 
	value_json TEXT, 
	PRIMARY KEY (study_system_attribute_id), 
	UNIQUE (study_id, "key"), 
	FOREIGN KEY(study_id) REFERENCES studies (study_id)
);
CREATE TABLE study_user_attributes (
	study_user_attribute_id INTEGER NOT NULL, 
	study_id INTEGER, 
	"key" VARCHAR(512), 
	value_json TEXT, 
	PRIMARY KEY (study_user_attribute_id), 
	UNIQUE (study_id, "key"), 
	FOREIGN KEY(study_id) REFERENCES studies (study_id)
);
INSERT INTO "study_user_attributes" VALUES(1,1,'identity','{"search of optimizer.lr": "FloatDistribution(high=0.1, log=True, low=0.0001, step=None)", "dataset.name": "synthetic", "dataset.layout": "cifar", "dataset.mean": null, "dataset.std": null, "dataset.validation": 0.1, "dataset.split_seed": 0, "dataset.augment.crop_padding": 0, "dataset.augment.flip": false, "dataset.augment.rotation": 0.0, "dataset.augment.resized_crop": false, "dataset.augment.auto_augment": "none", "dataset.size": 8, "dataset.num_classes": 3, "dataset.pictures": 200, "model.name": "resnet8", "model.layout": "cifar", "model.width": 0.05, "model.stages": [[64, 1, 1], [128, 1, 2]], "T": 2, "encoder.name": "gac", "encoder.kernel": 4, "encoder.gate": "stem", "neuron.decay": 0.5, "neuron.threshold": 1.0, "neuron.surrogate": "triangle", "neuron.surrogate_width": 1.0, "neuron.detach_reset": false, "optimizer.name": "adamw", "optimizer.betas": [0.9, 0.999], "optimizer.eps": 1e-08, "optimizer.weight_decay": 0.01, "scheduler.interval": "step", "scheduler.warmup_epochs": 0.0, "scheduler.name": "cosine", "scheduler.final_fraction": 0.0, "loss.name": "cross_entropy", "loss.label_smoothing": 0.0, "augmentation.cutmix_probability": 0.5, "augmentation.cutmix_alpha": 1.0, "augmentation.mixup_probability": 0.0, "augmentation.mixup_alpha": 1.0, "augmentation.drawn_every": "batch", "hardware.precision": "fp32", "hardware.channels_last": false, "task.selected_by": "validation", "seed": 0, "epochs": 1, "batch_size": 16, "checkpoint": null, "max_steps": null, "max_minutes": null, "limit_train": null, "limit_eval": null}');
INSERT INTO "study_user_attributes" VALUES(2,1,'objectives','["validation_top1"]');
CREATE TABLE trial_heartbeats (
	trial_heartbeat_id INTEGER NOT NULL, 
	trial_id INTEGER NOT NULL, 
	heartbeat DATETIME NOT NULL, 
	PRIMARY KEY (trial_heartbeat_id), 
	UNIQUE (trial_id), 
	FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
CREATE TABLE trial_intermediate_values (
	trial_intermediate_value_id INTEGER NOT NULL, 
	trial_id INTEGER NOT NULL, 
	step INTEGER NOT NULL, 
	intermediate_value FLOAT, 
	intermediate_value_type VARCHAR(7) NOT NULL, 
	PRIMARY KEY (trial_intermediate_value_id), 
	UNIQUE (trial_id, step), 
	FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
INSERT INTO "trial_intermediate_values" VALUES(1,1,1,37.5,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(2,2,1,37.5,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(3,3,1,37.5,'FINITE');
CREATE TABLE trial_params (
	param_id INTEGER NOT NULL, 
	trial_id INTEGER, 
	param_name VARCHAR(512), 
	param_value FLOAT, 
	distribution_json TEXT, 
	PRIMARY KEY (param_id), 
	UNIQUE (trial_id, param_name), 
	FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
INSERT INTO "trial_params" VALUES(1,1,'optimizer.lr',4.43037524521826871909e-03,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.0001, "high": 0.1, "log": true}}');
INSERT INTO "trial_params" VALUES(2,2,'optimizer.lr',1.78264971513869487258e-03,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.0001, "high": 0.1, "log": true}}');
INSERT INTO "trial_params" VALUES(3,3,'optimizer.lr',2.03228544324115254285e-03,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.0001, "high": 0.1, "log": true}}');
CREATE TABLE trial_system_attributes (
	trial_system_attribute_id INTEGER NOT NULL, 
	trial_id INTEGER, 
	"key" VARCHAR(512), 
	value_json TEXT, 
	PRIMARY KEY (trial_system_attribute_id), 
	UNIQUE (trial_id, "key"), 
	FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
CREATE TABLE trial_user_attributes (
	trial_user_attribute_id INTEGER NOT NULL, 
	trial_id INTEGER, 
	"key" VARCHAR(512), 
	value_json TEXT, 
	PRIMARY KEY (trial_user_attribute_id), 
	UNIQUE (trial_id, "key"), 
	FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
INSERT INTO "trial_user_attributes" VALUES(1,1,'lease','1795571862.8184032');
INSERT INTO "trial_user_attributes" VALUES(2,1,'owner','{"host": "elsewhere", "boot": "", "pid": 6798, "start": "178279"}');
INSERT INTO "trial_user_attributes" VALUES(3,1,'config_hash','"9835d2b99b"');
INSERT INTO "trial_user_attributes" VALUES(4,1,'run','"@FOLDER@/0"');
INSERT INTO "trial_user_attributes" VALUES(5,1,'epochs','1');
INSERT INTO "trial_user_attributes" VALUES(6,2,'lease','1795571866.4832706');
INSERT INTO "trial_user_attributes" VALUES(7,2,'owner','{"host": "elsewhere", "boot": "", "pid": 6798, "start": "178279"}');
INSERT INTO "trial_user_attributes" VALUES(8,2,'config_hash','"b939ee0278"');
INSERT INTO "trial_user_attributes" VALUES(9,2,'run','"@FOLDER@/1"');
INSERT INTO "trial_user_attributes" VALUES(10,2,'epochs','1');
INSERT INTO "trial_user_attributes" VALUES(11,3,'lease','1795571866.959044');
INSERT INTO "trial_user_attributes" VALUES(12,3,'owner','{"host": "elsewhere", "boot": "", "pid": 6798, "start": "178279"}');
INSERT INTO "trial_user_attributes" VALUES(13,3,'config_hash','"89f560818f"');
INSERT INTO "trial_user_attributes" VALUES(14,3,'run','"@FOLDER@/2"');
INSERT INTO "trial_user_attributes" VALUES(15,3,'epochs','1');
CREATE TABLE trial_values (
	trial_value_id INTEGER NOT NULL, 
	trial_id INTEGER NOT NULL, 
	objective INTEGER NOT NULL, 
	value FLOAT, 
	value_type VARCHAR(7) NOT NULL, 
	PRIMARY KEY (trial_value_id), 
	UNIQUE (trial_id, objective), 
	FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
INSERT INTO "trial_values" VALUES(1,1,0,37.5,'FINITE');
INSERT INTO "trial_values" VALUES(2,2,0,37.5,'FINITE');
INSERT INTO "trial_values" VALUES(3,3,0,37.5,'FINITE');
CREATE TABLE trials (
	trial_id INTEGER NOT NULL, 
	number INTEGER, 
	study_id INTEGER, 
	state VARCHAR(8) NOT NULL, 
	datetime_start DATETIME, 
	datetime_complete DATETIME, 
	PRIMARY KEY (trial_id), 
	FOREIGN KEY(study_id) REFERENCES studies (study_id)
);
INSERT INTO "trials" VALUES(1,0,1,'COMPLETE','2026-11-25 01:56:42.679900','2026-11-25 01:56:46.344812');
INSERT INTO "trials" VALUES(2,1,1,'COMPLETE','2026-11-25 01:56:46.361652','2026-11-25 01:56:46.814506');
INSERT INTO "trials" VALUES(3,2,1,'COMPLETE','2026-11-25 01:56:46.830202','2026-11-25 01:56:47.298617');
CREATE TABLE version_info (
	version_info_id INTEGER NOT NULL, 
	schema_version INTEGER, 
	library_version VARCHAR(256), 
	PRIMARY KEY (version_info_id), 
	CHECK (version_info_id=1)
);
INSERT INTO "version_info" VALUES(1,12,'5.0.0');
CREATE UNIQUE INDEX ix_studies_study_name ON studies (study_name);
CREATE INDEX ix_trials_study_id ON trials (study_id);
COMMIT;
