"""Names of other tools for how a training runs: its length, optimizer, schedule, precision, device and what it keeps.

docs/start/from-other-tools.md shows the table with links to the pages of the tools.
"""

from __future__ import annotations

from dlexp.config.habits.habit import Habit

_ONE_DEVICE = "a run trains on one device; several GPUs train several runs, with --multirun and --jobs"
_EPOCHS = "the length of a run is a number of epochs"
_WITH_STOPPING = "regularization.early_stopping.patience=5"
_BEST = "the best weights are always kept and used at the end, the last ones too"

LENGTH = (
    Habit("Keras, timm, Ludwig", "epochs epoch", "trainer.epochs={}", example="5"),
    Habit("Lightning", "max_epochs", "trainer.epochs={}", example="5"),
    Habit("Hugging Face", "num_train_epochs train_epochs", "trainer.epochs={}", example="3"),
    Habit("fastai", "n_epoch n_epochs num_epochs nb_epochs cyc_len", "trainer.epochs={}", example="3"),
    Habit("Lightning, Hugging Face", "max_steps num_steps total_steps", "trainer.epochs=10", _EPOCHS, is_sure=False),
    Habit("Ludwig", "train_steps", "trainer.epochs=10", _EPOCHS, is_sure=False),
    Habit("scikit-learn", "max_iter n_iter iterations num_iterations", "trainer.epochs=10", _EPOCHS, is_sure=False),
    Habit(
        "Keras", "steps_per_epoch", "trainer.epochs=10", "an epoch is one pass over the training split", is_sure=False
    ),
    Habit("Lightning", "min_epochs min_steps", "trainer.epochs=10", _EPOCHS, is_sure=False),
    Habit(
        "Lightning", "max_time", "--resume", "Ctrl-C ends a run with a checkpoint; resume continues it", is_sure=False
    ),
    Habit("Lightning", "fast_dev_run dry_run", "--dry-run", cases={"true": "--dry-run", "false": ""}, example="true"),
    Habit(
        "Lightning",
        "limit_train_batches limit_val_batches limit_test_batches overfit_batches",
        "--dry-run",
        "an epoch is the whole training split; a dry run makes one update",
        is_sure=False,
    ),
)

OPTIMIZER = (
    Habit("Keras, Ludwig", "optimizer optimiser optimizer_name", "optim={}", example="adamw"),
    Habit("timm", "opt", "optim={}", example="adamw"),
    Habit("fastai", "opt_func", "optim={}", example="Adam"),
    Habit("scikit-learn", "solver", "optim={}", example="sgd"),
    Habit("timm, fastai", "lr", "optim.lr={}", example="0.1"),
    Habit("Keras, Hugging Face, Ludwig", "learning_rate learningrate init_lr initial_lr", "optim.lr={}", example="0.1"),
    Habit("scikit-learn", "learning_rate_init initial_learning_rate", "optim.lr={}", example="0.1"),
    Habit("fastai", "lr_max base_lr lr_base peak_lr", "optim.lr={}", example="0.01"),
    Habit("Lightning 1", "auto_lr_find", "optim.lr=auto", cases={"true": "optim.lr=auto", "false": ""}, example="true"),
    Habit("fastai", "wd weightdecay weight_decay", "optim.weight_decay={}", example="0.01"),
    Habit("timm, Keras", "momentum", "optim=sgd optim.momentum={}", example="0.9"),
    Habit("Keras", "nesterov", "optim=sgd optim.nesterov={}", example="true"),
    Habit("Hugging Face, Keras", "adam_beta1 beta1 beta_1", "optim.betas=[{},0.999]", example="0.9", is_sure=False),
    Habit("Hugging Face, Keras", "adam_beta2 beta2 beta_2", "optim.betas=[0.9,{}]", example="0.98", is_sure=False),
    Habit("timm", "opt_betas betas", "optim.betas={}", example="[0.9,0.98]"),
    Habit("Hugging Face, Keras, timm", "adam_epsilon epsilon opt_eps", "optim.eps={}", example="1e-7"),
    Habit("Lightning", "gradient_clip_val", "trainer.clip_norm={}", example="1.0"),
    Habit("Hugging Face", "max_grad_norm clip_grad_norm grad_clip clip", "trainer.clip_norm={}", example="1.0"),
    Habit("timm", "clip_grad", "trainer.clip_norm={}", example="1.0"),
    Habit("Keras, Ludwig", "global_clipnorm clipglobalnorm clipnorm", "trainer.clip_norm={}", example="1.0"),
    Habit(
        "Lightning, timm, Keras",
        "gradient_clip_algorithm clip_mode clipvalue gradient_clipping",
        "trainer.clip_norm=1.0",
        "gradients are clipped by the norm of all weights",
        is_sure=False,
    ),
    Habit("Lightning", "accumulate_grad_batches", "trainer.accumulate={}", example="4"),
    Habit("Hugging Face", "gradient_accumulation_steps accumulation_steps", "trainer.accumulate={}", example="4"),
    Habit("timm", "grad_accum_steps", "trainer.accumulate={}", example="4"),
    Habit("timm", "layer_decay llrd", "optim.layer_decay={}", example="0.75"),
    Habit("fastai", "freeze_epochs", "trainer.unfreeze_epoch={}", example="2", is_sure=False),
)

SCHEDULE = (
    Habit("Hugging Face", "lr_scheduler_type lr_scheduler lr_schedule schedule", "scheduler={}", example="cosine"),
    Habit("timm", "sched lr_policy", "scheduler={}", example="cosine"),
    Habit("Ludwig", "learning_rate_scheduler", "scheduler={}", example="linear"),
    Habit("timm", "warmup_epochs warmup", "scheduler.warmup_epochs={}", example="3"),
    Habit("Hugging Face", "warmup_steps num_warmup_steps lr_warmup_steps", "scheduler.warmup_steps={}", example="100"),
    Habit(
        "Hugging Face, Ludwig",
        "warmup_ratio warmup_fraction",
        "scheduler.warmup_epochs=1",
        "the warm-up is counted in epochs or, with scheduler.warmup_steps, in updates",
        example="0.1",
        is_sure=False,
    ),
    Habit(
        "timm, Keras",
        "min_lr eta_min lr_min warmup_lr end_lr",
        "scheduler.min_factor=0.01",
        "the schedule multiplies optim.lr by a factor",
        example="1e-6",
        is_sure=False,
    ),
    Habit("timm", "decay_rate lr_gamma lr_decay_rate", "scheduler=step scheduler.gamma={}", example="0.1"),
    Habit("timm", "decay_epochs lr_step_size", "scheduler=step scheduler.step_size={}", example="10"),
    Habit("timm", "decay_milestones lr_steps", "scheduler=multistep scheduler.milestones={}", example="[10,20]"),
    Habit("timm", "patience_epochs", "scheduler=plateau scheduler.patience={}", example="3"),
    Habit("fastai", "pct_start", "scheduler=onecycle scheduler.pct_start={}", example="0.25"),
    Habit("fastai", "div", "scheduler=onecycle scheduler.div_factor={}", example="25"),
    Habit("fastai", "div_final", "scheduler=onecycle scheduler.final_div_factor={}", example="1e4"),
    Habit("PyTorch", "t_max cooldown_epochs", "", "a schedule lasts as long as the run", example="10"),
)

MACHINE = (
    Habit("Lightning", "precision", "trainer.precision={}", example="16-mixed"),
    Habit("Hugging Face, Keras", "mixed_precision dtype torch_dtype", "trainer.precision={}", example="bf16"),
    Habit("timm", "amp_dtype", "trainer.precision={}", example="bfloat16"),
    Habit(
        "timm, Ludwig",
        "amp native_amp apex_amp use_amp use_mixed_precision autocast",
        "trainer.precision=auto",
        cases={"true": "trainer.precision=auto", "false": "trainer.precision=fp32"},
        example="",
    ),
    Habit(
        "Hugging Face, fastai",
        "fp16 to_fp16 half",
        "trainer.precision=fp16",
        cases={"true": "trainer.precision=fp16", "false": "trainer.precision=fp32"},
        example="true",
    ),
    Habit(
        "Hugging Face, fastai",
        "bf16 to_bf16",
        "trainer.precision=bf16",
        cases={"true": "trainer.precision=bf16", "false": "trainer.precision=fp32"},
        example="true",
    ),
    Habit("Lightning", "accelerator", "trainer.device={}", example="gpu"),
    Habit("timm", "device", "trainer.device={}", example="cuda:0"),
    Habit(
        "Hugging Face",
        "use_cpu no_cuda cpu",
        "trainer.device=cpu",
        cases={"true": "trainer.device=cpu", "false": "trainer.device=auto"},
        example="",
    ),
    Habit(
        "scripts",
        "cuda use_cuda use_gpu",
        "trainer.device=cuda",
        cases={"true": "trainer.device=cuda", "false": "trainer.device=cpu"},
        example="",
    ),
    Habit("scripts", "gpu gpu_id cuda_device", "trainer.device={}", cases={"": "trainer.device=cuda"}, example="0"),
    Habit(
        "Lightning",
        "devices gpus num_gpus n_gpu n_gpus num_devices",
        "trainer.device=auto",
        _ONE_DEVICE,
        cases={
            "1": "trainer.device=auto",
            "-1": "trainer.device=auto",
            "0": "trainer.device=cpu",
            "auto": "trainer.device=auto",
            "[0]": "trainer.device=cuda:0",
            "[1]": "trainer.device=cuda:1",
        },
        example="2",
        is_sure=False,
    ),
    Habit(
        "Lightning",
        "strategy num_nodes distributed ddp fsdp deepspeed nproc_per_node num_processes local_rank tpu_cores",
        "trainer.device=auto",
        _ONE_DEVICE,
        example="ddp",
        is_sure=False,
    ),
    Habit("Lightning, timm", "sync_batchnorm sync_bn dist_bn", "", _ONE_DEVICE, example="true"),
    Habit(
        "Hugging Face, timm",
        "torch_compile torchcompile torch_compile_mode",
        "trainer.compile={}",
        cases={"true": "trainer.compile=true", "false": "trainer.compile=false"},
        example="",
    ),
    Habit(
        "Keras",
        "jit_compile use_compile",
        "trainer.compile={}",
        cases={"true": "trainer.compile=true", "false": "trainer.compile=false"},
        example="true",
    ),
    Habit(
        "Hugging Face, timm",
        "gradient_checkpointing grad_checkpointing activation_checkpointing enable_gradient_checkpointing",
        "trainer.checkpoint_activations={}",
        cases={"true": "trainer.checkpoint_activations=true", "false": ""},
        example="true",
    ),
    Habit(
        "Lightning",
        "benchmark cudnn_benchmark",
        "",
        "deterministic=true makes the algorithms the same in every run",
        cases={"false": "deterministic=true"},
        example="true",
    ),
    Habit("Lightning", "profiler", "", "dlexp profile measures the time and memory of an update", example="simple"),
    Habit(
        "Lightning",
        "detect_anomaly terminate_on_nan",
        "",
        "a loss or gradient that is not finite is always found; trainer.on_nonfinite says what follows",
        example="true",
    ),
    Habit(
        "Lightning, scikit-learn, Ludwig",
        "random_state random_seed seed_everything",
        "seed={}",
        example="7",
    ),
)

WATCHING = (
    Habit("Lightning, Keras", "monitor", "trainer.monitor={}", example="val_loss"),
    Habit("Hugging Face", "metric_for_best_model best_metric", "trainer.monitor={}", example="eval_loss"),
    Habit("timm", "eval_metric", "trainer.monitor={}", example="top1"),
    Habit("KerasTuner", "objective", "trainer.monitor={}", example="val_accuracy"),
    Habit("Ludwig", "validation_metric", "trainer.monitor={}", example="accuracy"),
    Habit(
        "Hugging Face, Keras",
        "greater_is_better direction mode monitor_mode early_stopping.mode goal",
        "",
        "the metric says whether larger is better",
        example="max",
    ),
    Habit(
        "Keras",
        "patience trainer.patience early_stopping_epochs",
        "regularization.early_stopping.patience={}",
        example="5",
    ),
    Habit(
        "Keras, scikit-learn",
        "early_stopping earlystopping use_early_stopping",
        "regularization.early_stopping.patience={}",
        cases={"true": "regularization=early_stopping", "false": ""},
        example="true",
    ),
    Habit(
        "Ludwig",
        "early_stop",
        "regularization.early_stopping.patience={}",
        cases={"true": "regularization=early_stopping"},
        example="5",
    ),
    Habit(
        "Hugging Face, scikit-learn",
        "early_stopping_patience early_stopping_rounds n_iter_no_change",
        "regularization.early_stopping.patience={}",
        example="5",
    ),
    Habit(
        "Keras, Lightning",
        "min_delta",
        f"{_WITH_STOPPING} regularization.early_stopping.min_delta={{}}",
        example="0.001",
        is_sure=False,
    ),
    Habit(
        "Hugging Face, scikit-learn",
        "early_stopping_threshold tol",
        f"{_WITH_STOPPING} regularization.early_stopping.min_delta={{}}",
        example="0.001",
        is_sure=False,
    ),
    Habit(
        "Keras, Hugging Face",
        "restore_best_weights load_best_model_at_end save_best_only save_last enable_checkpointing",
        "",
        _BEST,
        example="true",
    ),
    Habit("Lightning, Hugging Face", "save_top_k save_total_limit checkpoint_hist", "", _BEST, example="3"),
    Habit(
        "Hugging Face, timm", "save_steps recovery_interval save_interval", "trainer.save_every_steps={}", example="500"
    ),
    Habit(
        "Lightning, Hugging Face",
        "check_val_every_n_epoch val_check_interval eval_strategy evaluation_strategy eval_steps save_strategy",
        "",
        "every epoch ends with an evaluation and a checkpoint; trainer.save_every_steps adds checkpoints",
        example="0.5",
    ),
    Habit(
        "Lightning, Keras, fastai",
        "callbacks cbs callback callback_fns",
        _WITH_STOPPING,
        "there are no callbacks: early stopping, averages of weights and loggers are keys of regularization and logger",
        example="early",
        is_sure=False,
    ),
    Habit("Lightning", "log_every_n_steps", "logger.every_steps={}", example="50"),
    Habit("Hugging Face, timm", "logging_steps log_interval log_freq log_every", "logger.every_steps={}", example="50"),
    Habit(
        "Hugging Face",
        "report_to loggers tracker",
        "logger={}",
        cases={"none": "logger=files", "all": "logger.tensorboard=true logger.mlflow=true logger.wandb=true"},
        example="wandb",
    ),
    Habit("timm", "log_wandb use_wandb", "logger=wandb", cases={"true": "logger=wandb", "false": ""}, example=""),
    Habit("Weights & Biases", "wandb", "logger=wandb", cases={"true": "logger=wandb", "false": ""}, example=""),
    Habit(
        "Keras",
        "tensorboard use_tensorboard",
        "logger=tensorboard",
        cases={"true": "logger=tensorboard", "false": ""},
        example="",
    ),
    Habit("Weights & Biases", "wandb.project wandb_project", "logger=wandb logger.wandb_project={}", example="mine"),
    Habit("Weights & Biases", "wandb.entity wandb_entity", "logger=wandb logger.wandb_entity={}", example="team"),
    Habit("Weights & Biases", "wandb.mode wandb_mode", "logger=wandb logger.wandb_mode={}", example="offline"),
    Habit(
        "MLflow",
        "mlflow.tracking_uri mlflow_tracking_uri tracking_uri",
        "logger=mlflow logger.mlflow_uri={}",
        example="file.db",
    ),
    Habit(
        "MLflow",
        "mlflow.experiment_name mlflow_experiment_name",
        "logger=mlflow logger.mlflow_experiment={}",
        example="mine",
    ),
    Habit("Hugging Face", "run_name wandb.name experiment_name exp_name hydra.job.name", "name={}", example="mine"),
)
